/**
 * Facts of Google's models that its API does not tell, by name. A name nobody knows is taken for one of the newest generation:
 * it thinks, and takes what the newest take.
 */
import { type ModelFacts, TOP_SPEED } from '../provider.ts'

/** How a model is told to think: 2.5 in tokens, 3 and later in levels, older and special ones not at all. */
export type Thinking = 'none' | 'budget' | 'level'

const NEWEST = 3

/** `models/` stands before names in Google's lists and in some responses. */
export function bareModel(name: string): string {
  return name.replace(/^models\//, '')
}

/** 1.5, 2, 2.5, 3 ...; Gemma and other families count as 2, what moves (`gemini-flash-latest`) as the newest. */
export function generation(model: string): number {
  const name = bareModel(model).toLowerCase()
  const stated = /^gemini-(\d+(?:\.\d+)?)/.exec(name)?.[1]
  if (stated !== undefined) return Number(stated)
  return /^(?:gemma|learnlm)/.test(name) ? 2 : NEWEST
}

export function thinkingOf(model: string): Thinking {
  const age = generation(model)
  if (/-tts|-live|native-audio|embedding/.test(model)) return 'none'
  if (age >= 3) return 'level'
  return age >= 2.5 && !/-image/.test(model) ? 'budget' : 'none'
}

/** It makes images or sound beside what it writes. */
export function draws(model: string): boolean {
  return /-image|-tts|native-audio/.test(bareModel(model))
}

/** First match wins. */
const OUTPUT_LIMITS: readonly (readonly [RegExp, number])[] = [
  [/^gemini-(?:1|2\.0)|^gemma|^learnlm/, 8_192],
  [/^gemini-.*-tts/, 16_384],
  [/^gemini-.*-image/, 32_768],
  [/^gemini-/, 65_536],
]

export function googleModel(model: string): ModelFacts {
  const name = bareModel(model).toLowerCase()
  return {
    maxOutputTokens: OUTPUT_LIMITS.find(([pattern]) => pattern.test(name))?.[1] ?? null,
    // Recorded: 33 tokens under a cap of 32.
    capOverrun: 1,
    // Thoughts are billed in full; a stream shows a summary of them at most, and states their number only with its first frame.
    hiddenReasoning: thinkingOf(model) !== 'none',
    topSpeed: /flash-lite/.test(name) ? 800 : /flash/.test(name) ? 500 : TOP_SPEED,
    encoding: 'o200k_base',
    countPercent: 100,
    tokensPercent: 85,
    // What the estimate adds for OpenAI's framing of messages and tools Google does not bill: measured, a declaration costs a third.
    hiddenInput: { always: -3, withTools: -42 },
  }
}

/** Millionths of the list price, by the tier asked for or served. Google's words differ by API: `flex`, `ON_DEMAND_FLEX`. */
export function googleTier(tier: string | null): bigint {
  if (tier !== null && /flex/i.test(tier)) return 500_000n
  if (tier !== null && /priority/i.test(tier)) return 1_800_000n
  return 1_000_000n
}

/** Why such a name has no price. */
export function googleUnpriced(model: string): string | null {
  if (!/latest/.test(model)) return null
  return `'${model.slice(0, 100)}' means another model from time to time, so no price can be known for it. Ask for a model by its version.`
}

/** Tokens for thoughts, as Google's own OpenAI-compatible endpoint sets them. */
const BUDGETS: Readonly<Record<string, number>> = { none: 0, minimal: 1_024, low: 1_024, medium: 8_192, high: 24_576 }
const LEVELS = ['minimal', 'low', 'medium', 'high']

/**
 * `thinkingConfig` for a `reasoning_effort`; null where the model has nothing of the kind: only Flash models of 2.5 can be told not
 * to think, none thinks harder than `high`. Levels a Pro model lacks are the next one, as Google's own compatible endpoint has it.
 */
export function thinkingConfig(model: string, effort: string): Record<string, unknown> | null {
  const thinking = thinkingOf(model)
  const name = bareModel(model).toLowerCase()
  if (thinking === 'none') return effort === 'none' ? {} : null
  if (thinking === 'budget') {
    const budget = Object.hasOwn(BUDGETS, effort) ? BUDGETS[effort] : undefined
    if (budget === undefined || (budget === 0 && name.includes('pro'))) return null
    return { thinkingBudget: budget, ...(budget > 0 ? { includeThoughts: true } : {}) }
  }
  if (!LEVELS.includes(effort)) return null
  const raised = !name.includes('pro') ? effort : effort === 'minimal' ? 'low' : effort
  const level = raised === 'medium' && /^gemini-3-pro/.test(name) ? 'high' : raised
  return { thinkingLevel: level, includeThoughts: true }
}

/** Only these were ever able to count repetitions; the others refuse any number but 0. */
export function takesPenalties(model: string): boolean {
  return generation(model) === 2 && !bareModel(model).startsWith('gemma')
}
