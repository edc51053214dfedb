/** Usage as callers and books see it, in OpenAI's meaning, against what the recording is known to have used. */
import type { Expect } from './check.ts'
import { wholeUsage, withinWhole } from './expected.ts'
import { type Json, object } from './frames.ts'
import type { Oracle, OracleUsage, Recording } from './recording.ts'
import type { Replayed } from './replay.ts'

/** Members only providers' bills have. */
export const COST_MEMBERS: ReadonlySet<string> = new Set([
  'cost_details',
  'cost_in_usd_ticks',
  'is_byok',
  'estimated_cost',
  'upstream_inference_cost',
])

/** `shown` as in an answer; parts that contradict their whole may stand there as the provider stated them. */
export function checkShownUsage(
  where: string,
  shown: Json | null,
  recording: Recording,
  oracle: Oracle,
  { call }: Replayed,
  expect: Expect,
): void {
  expect(`${where}: cost`, Number(shown?.cost).toFixed(9), Number(call?.cost).toFixed(9))
  if (oracle.usage === null) checkEstimated(where, shown, oracle, expect)
  else if (!contradicts(oracle.usage)) checkUsage(where, shown, recording, oracle.usage, expect)
}

export function checkUsage(
  where: string,
  shown: Json | null,
  { provider }: Recording,
  oracle: OracleUsage,
  expect: Expect,
): void {
  const input = object(shown?.prompt_tokens_details)
  const output = object(shown?.completion_tokens_details)
  // Where thinking stands in no member of its own, what shows it is ours.
  const hidden = oracle.reasoning === null || provider === 'gemini_openai_compat'
  const known = withinWhole(wholeUsage(oracle))
  expect(
    where,
    {
      input_tokens: shown?.prompt_tokens,
      cache_read: input?.cached_tokens ?? 0,
      cache_write: input?.cache_write_tokens ?? 0,
      output_tokens: shown?.completion_tokens,
      reasoning: hidden ? 0 : (output?.reasoning_tokens ?? 0),
      total: shown?.total_tokens,
    },
    {
      input_tokens: known.input_tokens,
      cache_read: known.cache_read,
      cache_write: known.cache_write,
      output_tokens: known.output_tokens,
      reasoning: hidden ? 0 : known.reasoning,
      total: known.input_tokens + known.output_tokens,
    },
  )
}

/** Nobody stated it: there is an estimate, of output exactly where there was some. */
export function checkEstimated(where: string, shown: Json | null, { text, tool_calls }: Oracle, expect: Expect): void {
  expect(`${where}: estimated input`, Number(shown?.prompt_tokens) > 0, true)
  if (text !== '' || tool_calls.length > 0)
    expect(`${where}: estimated output`, Number(shown?.completion_tokens) > 0, true)
}

function contradicts(usage: OracleUsage): boolean {
  const { cache_read, cache_write, reasoning } = withinWhole(usage)
  return cache_read !== usage.cache_read || cache_write !== usage.cache_write || reasoning !== (usage.reasoning ?? 0)
}
