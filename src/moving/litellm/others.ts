/** What LiteLLM has besides, and nothing here stands for. */
import type { Notes } from './notes.ts'
import type { Source, SourceRow } from './source.ts'
import { textIn, timeIn } from './values.ts'

interface Other {
  table: string
  isSome: (row: SourceRow, now: Date) => boolean
  says: string
}

const ANY = () => true
const HAS_BUDGET = (row: SourceRow) => textIn(row, 'budget_id') !== null
const OTHERS: readonly Other[] = [
  { table: 'TagTable', isSome: HAS_BUDGET, says: 'Budgets of tags are not carried.' },
  { table: 'ProjectTable', isSome: ANY, says: 'Projects are not carried, nor their budgets.' },
  {
    table: 'OrganizationMembership',
    isSome: HAS_BUDGET,
    says: 'Budgets of members within an organization are not carried.',
  },
  {
    table: 'DeprecatedVerificationToken',
    isSome: (row, now) => (timeIn(row, 'revoke_at') ?? now) > now,
    says: 'Old texts of replaced keys, which LiteLLM still accepts for a while, are not accepted here.',
  },
  { table: 'Config', isSome: ANY, says: 'Settings in the database have no effect here: write them into config.yaml.' },
  { table: 'GuardrailsTable', isSome: ANY, says: 'Guardrails are not carried.' },
  { table: 'MCPServerTable', isSome: ANY, says: 'MCP servers are not carried.' },
  { table: 'JWTKeyMapping', isSome: ANY, says: 'Mappings of tokens to keys are not carried.' },
]

export async function noteOthers(source: Source, notes: Notes, now: Date): Promise<number> {
  let found = 0
  for (const { table, isSome, says } of OTHERS) {
    const rows = (await source.rows(table)).filter((row) => isSome(row, now))
    found += rows.length
    for (const row of rows) notes.left('others', `LiteLLM_${table} ${nameOf(row)}`, says)
  }
  return found
}

function nameOf(row: SourceRow): string {
  const names = ['tag_name', 'project_id', 'user_id', 'param_name', 'guardrail_name', 'server_id', 'id']
  return names.map((name) => textIn(row, name)).find((name) => name !== null) ?? ''
}
