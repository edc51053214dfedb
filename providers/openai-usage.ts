/**
 * Reads the `usage` object of OpenAI's chat completions, and of those who speak its dialect, into disjoint buckets.
 * Providers can be wrong: a count that is not an integer >= 0 is missing, never zero, and never a reason to throw.
 */

import { asObject } from './json.ts'
import { NO_USAGE, type Usage } from './usage.ts'

/** Where a dialect's numbers mean something else than OpenAI's. */
export interface UsageRules {
  /** `completion_tokens` leaves reasoning out (xAI). A stated total that fits only one reading decides; else this does. */
  reasoningOutside?: boolean
  /** Output that is billed and stands in no member but the total (Gemini's thinking behind the compatible endpoint). */
  totalIsTruth?: boolean
}

export interface UsageReading {
  usage: Usage
  /** `total_tokens` as stated; `null` where missing. */
  total: number | null
  /** False where the numbers contradict each other: a part larger than its whole, or a total that is not the sum. */
  consistent: boolean
}

/**
 * Input and output both have to be stated, explicit zeros included; without either there is no usage (`null`) and the
 * caller has to estimate. Cached, written and audio tokens are taken out of `prompt_tokens`, which includes them; audio and
 * image tokens out of `completion_tokens`. A part that exceeds what is left of its whole is cut down to it.
 */
export function readOpenAiUsage(raw: unknown, rules: UsageRules = {}): UsageReading | null {
  const stated = asObject(raw)
  const prompt = count(stated?.prompt_tokens)
  const completion = count(stated?.completion_tokens)
  if (prompt === null || completion === null) return null
  const total = count(stated?.total_tokens)
  const inside = asObject(stated?.prompt_tokens_details)
  const made = asObject(stated?.completion_tokens_details)
  const thought = count(made?.reasoning_tokens) ?? 0
  const billed = outputOf({ prompt, completion, thought, total }, rules)

  // Moonshot and Together say it on top, DeepSeek by another name.
  const cached = inside?.cached_tokens ?? stated?.cached_tokens ?? stated?.prompt_cache_hit_tokens
  const input = portions(prompt, [cached, inside?.cache_write_tokens, inside?.audio_tokens])
  const output = portions(billed, [made?.audio_tokens, made?.image_tokens])
  const hidden = rules.totalIsTruth === true ? billed - completion : 0
  const reasoning = portions(output.rest, [Math.max(thought, hidden)])
  const usage: Usage = {
    ...NO_USAGE,
    input: input.rest,
    cacheRead: input.parts[0] ?? 0,
    cacheWrite5m: input.parts[1] ?? 0,
    audioInput: input.parts[2] ?? 0,
    output: output.rest,
    reasoning: reasoning.parts[0] ?? 0,
    audioOutput: output.parts[0] ?? 0,
    imageOutput: output.parts[1] ?? 0,
  }
  const sums = total === null || total === prompt + billed
  return { usage, total, consistent: sums && input.fit && output.fit && reasoning.fit }
}

/** All output tokens that are billed, whatever the dialect leaves out of `completion_tokens`. */
function outputOf(
  { prompt, completion, thought, total }: { prompt: number; completion: number; thought: number; total: number | null },
  { reasoningOutside, totalIsTruth }: UsageRules,
): number {
  if (totalIsTruth === true && total !== null) return Math.max(completion, total - prompt)
  // Whoever states it: a total that is the sum with reasoning, and not the one without, says where reasoning is.
  if (thought > 0 && total === prompt + completion + thought) return completion + thought
  return reasoningOutside === true && total !== prompt + completion ? completion + thought : completion
}

/** Takes parts out of a whole, in order, each cut down to what is still there. */
function portions(whole: number, stated: readonly unknown[]): { parts: number[]; rest: number; fit: boolean } {
  let rest = whole
  let fit = true
  const parts = stated.map((value) => {
    const wanted = count(value) ?? 0
    const part = Math.min(wanted, rest)
    if (part < wanted) fit = false
    rest -= part
    return part
  })
  return { parts, rest, fit }
}

/** More than any call consumes, and little enough for sums of counts to stay exact. */
const COUNT_MAX = 1e12

/** A count as a provider may state it; null for anything that is none. */
export function count(value: unknown): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= COUNT_MAX ? value : null
}
