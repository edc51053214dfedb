/**
 * How much Gemini is to think: `reasoning_effort` by model generation, or Google's own `thinking_config`. Thoughts count against the
 * output cap: where a cap of ours is below the caller's, a budget goes down with it.
 */
import { asObject } from '../json.ts'
import { thinkingConfig, thinkingOf } from './models.ts'

type Json = Readonly<Record<string, unknown>>

/** Taken by every model that thinks by budget. */
const LEAST_BUDGET = 512
/** The rest is for the response. */
const SHARE = 0.8
/** The least cap beside which a budget that was asked for can be lowered. */
export const LEAST_CAP_OF_THINKING = LEAST_BUDGET / SHARE

/** A budget beside a cap on output. */
export function loweredBudget(budget: number, cap: number): number {
  return Math.min(budget, Math.max(LEAST_BUDGET, Math.floor(cap * SHARE)))
}

/** As Google's compatible endpoint takes it: `extra_body.google.thinking_config`. */
export function ownThinking(json: Json): Json | null {
  return asObject(asObject(asObject(json.extra_body)?.google)?.thinking_config)
}

/** @param cap the output cap, where it is one of ours below the caller's; else null. */
export function translateThinking(json: Json, model: string, cap: number | null): Json | null {
  const config = askedThinking(json, model)
  const budget = askedThinkingBudget(config)
  if (budget === null || cap === null) return config
  return { ...config, thinkingBudget: loweredBudget(budget, cap) }
}

export function leastOutput(json: Json, model: string): number {
  return askedThinkingBudget(askedThinking(json, model)) === null ? 1 : LEAST_CAP_OF_THINKING
}

function askedThinking(json: Json, model: string): Json | null {
  const own = ownThinking(json)
  if (own === null || thinkingOf(model) === 'none') {
    return typeof json.reasoning_effort === 'string' ? thinkingConfig(model, json.reasoning_effort) : null
  }
  const config: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(own)) {
    config[name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())] = value
  }
  return config
}

/** Null where nothing is to be thought, or the model decides how much. */
export function askedThinkingBudget(config: Json | null): number | null {
  const budget = config?.thinkingBudget
  return typeof budget === 'number' && budget > 0 ? budget : null
}
