/**
 * The `usage` object a caller sees: the provider's own, with our price as `cost`, its own cost fields gone, and its counts in
 * OpenAI's meaning where the provider's meant something else. All other bytes stay as they came.
 */
import { type Change, changeMembers, objectMembers } from '../src/http/json-members.ts'
import { inputTokens, outputTokens, type Usage } from '../src/metering/usage.ts'
import { asObject, parseJson } from './json.ts'

/** What providers charge us is not the caller's business. */
const COST_FIELDS = ['cost_details', 'cost_in_usd_ticks', 'is_byok', 'estimated_cost']

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

/** Counts that mean something else at OpenAI, or stand elsewhere there. */
function corrections(stated: Record<string, unknown>, read: Usage): Change[] {
  const changes: Change[] = []
  const completion = outputTokens(read)
  const total = inputTokens(read) + completion
  if (stated.completion_tokens !== completion) changes.push({ key: 'completion_tokens', value: String(completion) })
  if (typeof stated.total_tokens !== 'number') changes.push({ key: 'total_tokens', value: String(total) })
  if (read.cacheRead > 0 && asObject(stated.prompt_tokens_details)?.cached_tokens === undefined) {
    const details = { ...asObject(stated.prompt_tokens_details), cached_tokens: read.cacheRead }
    changes.push({ key: 'prompt_tokens_details', value: JSON.stringify(details) })
  }
  if (read.reasoning > 0 && asObject(stated.completion_tokens_details)?.reasoning_tokens === undefined) {
    const details = { ...asObject(stated.completion_tokens_details), reasoning_tokens: read.reasoning }
    changes.push({ key: 'completion_tokens_details', value: JSON.stringify(details) })
  }
  return changes
}
