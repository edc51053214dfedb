/**
 * The `usage` object a caller sees: the provider's own, with our price as `cost`, its own cost fields gone, and its counts in
 * OpenAI's meaning where the provider's meant something else. All other bytes stay as they came.
 */

import { asObject, parseJson } from './json.ts'
import { type Change, changeMembers, objectMembers } from './json-members.ts'
import { type Usage, usageRecord } from './usage.ts'

/** Callers do not see what providers charge us. */
export const COST_FIELDS: readonly string[] = ['cost_details', 'cost_in_usd_ticks', 'is_byok', 'estimated_cost']

/**
 * @param text the provider's usage object, a JSON text
 * @param cost dollars, a JSON number; null leaves all costs as the provider stated them (the caller's own key paid)
 */
export function shownUsage(text: Buffer, read: Usage | null, cost: string | null): Buffer {
  const changes: Change[] = []
  if (cost !== null) {
    changes.push(...COST_FIELDS.map((key): Change => ({ key, remove: true })), { key: 'cost', value: cost })
  }
  if (read !== null) changes.push(...corrections(asObject(parseJson(text)) ?? {}, read))
  return changes.length === 0 ? text : changeMembers(text, objectMembers(text), changes)
}

/**
 * A body whose `usage` is shown: what the provider said where that `isStated`, else ours.
 * @param cost as above. @param more is changed too.
 */
export function withUsage(
  body: Buffer,
  { usage, isStated, cost }: { usage: unknown; isStated: boolean; cost: string | null },
  more: readonly Change[] = [],
): Buffer {
  const members = objectMembers(body)
  const own = members.findLast(({ key }) => key === 'usage')
  const text =
    own !== undefined && isStated ? body.subarray(own.valueStart, own.end) : Buffer.from(JSON.stringify(usage))
  return changeMembers(body, members, [{ key: 'usage', value: shownUsage(text, null, cost).toString('utf8') }, ...more])
}

/** Counts that mean something else at OpenAI, stand elsewhere there, or are not those that were billed. */
function corrections(stated: Record<string, unknown>, read: Usage): Change[] {
  const changes: Change[] = []
  const billed = usageRecord(read)
  for (const key of ['prompt_tokens', 'completion_tokens', 'total_tokens'] as const)
    if (stated[key] !== billed[key]) changes.push({ key, value: String(billed[key]) })
  for (const key of ['prompt_tokens_details', 'completion_tokens_details'] as const) {
    const written = asObject(stated[key])
    const wrong = Object.entries(billed[key]).filter(
      ([name, count]) => isBilled(name) && (written?.[name] ?? 0) !== count,
    )
    if (wrong.length > 0) changes.push({ key, value: JSON.stringify({ ...written, ...Object.fromEntries(wrong) }) })
  }
  return changes
}

/** Predictions are inside the output and have no bucket of their own: what is said of them stays as it came. */
function isBilled(name: string): boolean {
  return !name.endsWith('_prediction_tokens')
}
