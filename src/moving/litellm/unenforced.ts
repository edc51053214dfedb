/** Restrictions of LiteLLM's keys, users and teams that are not enforced here: who has one is left, unless the operator accepts that. */
import type { SourceRow } from './source.ts'
import { isNothing, jsonIn, membersIn } from './values.ts'

/** As columns, or as members of `metadata`. */
const RESTRICTIONS = [
  'guardrails',
  'policies',
  'object_permission_id',
  'project_id',
  'tag_rpm_limit',
  'mcp_rpm_limit',
  'enforced_params',
  'tpd_limit',
  'allowed_vector_store_indexes',
  'access_group_ids',
] as const

export const MOVE_UNENFORCED: ReadonlySet<string> = new Set(RESTRICTIONS)

/** Those of a row that were not accepted. */
export function unenforcedIn(row: SourceRow, accepted: ReadonlySet<string>): string[] {
  const metadata = membersIn(row, 'metadata')
  return RESTRICTIONS.filter((name) => {
    if (accepted.has(name) || isNothing(jsonIn(row, name) ?? row[name] ?? metadata[name])) return false
    // Groups add models to a list of models: without them a key may call less, not more.
    return name !== 'access_group_ids' || isNothing(row.models)
  })
}
