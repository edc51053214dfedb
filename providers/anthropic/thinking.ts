/**
 * `reasoning_effort` by model generation: a budget of tokens up to 4.5, an effort with adaptive thinking from 4.6 on. `thinking`,
 * Anthropic's own member, is sent as it is.
 */

import { asObject } from '../json.ts'
import type { ClaudeModel } from './models.ts'
import type { Refuse } from './parts.ts'

type Members = Readonly<Record<string, unknown>>

export interface Thinking {
  thinking?: Members
  effort?: string
  /** The model thinks by a budget: this excludes forced tools, and the thoughts of an open turn must come back. */
  manual: boolean
  /** Thinks: excludes sampling parameters. */
  on: boolean
}

const BUDGETS: Readonly<Record<string, number>> = {
  minimal: 1_024,
  low: 1_024,
  medium: 4_096,
  high: 16_384,
  xhigh: 32_000,
  max: 32_000,
}
const EFFORTS: Readonly<Record<string, string>> = { minimal: 'low', low: 'low', medium: 'medium', high: 'high' }
const LEAST_BUDGET = 1_024

/** The least cap beside which a budget that was named can be lowered: the least budget, and a fifth for the response. */
export function leastOutput(json: Members): number {
  return hasBudget(asObject(json.thinking)) ? LEAST_BUDGET / 0.8 : 1
}

export function hasBudget(thinking: Members | null): boolean {
  return thinking?.type === 'enabled' && typeof thinking.budget_tokens === 'number'
}

/**
 * `cap` is the most output tokens of the call: thoughts count against it, so the budget stays below. The caller's own budget is sent
 * as it is, but where the cap `isOurs`: the caller wrote it beside another one.
 */
export function readThinking(
  json: Members,
  model: ClaudeModel,
  { cap, isOurs }: { cap: number; isOurs: boolean },
  refuse: Refuse,
): Thinking {
  const own = asObject(json.thinking)
  const effort = json.reasoning_effort ?? null
  const ownEffort = asObject(json.output_config)?.effort
  const stated = typeof ownEffort === 'string' ? { effort: ownEffort } : {}
  if (own !== null) {
    const thinking = isOurs && hasBudget(own) ? lowered(own, cap) : own
    return { thinking, ...stated, manual: own.type === 'enabled', on: isOn(own) }
  }
  if (effort === null) return { ...stated, manual: false, on: model.thinksByDefault }
  if (effort === 'none') return withoutThinking(model, refuse)
  if (typeof effort !== 'string' || !Object.hasOwn(BUDGETS, effort)) {
    refuse('reasoning_effort', 'Ask for reasoning_effort none, minimal, low, medium, high, xhigh or max.')
    return { manual: false, on: model.thinksByDefault }
  }
  if (model.thinking === 'none') {
    refuse('reasoning_effort', 'This model does not think.', true)
    return { manual: false, on: false }
  }
  if (model.thinking === 'manual') return manual(BUDGETS[effort] ?? LEAST_BUDGET, cap)
  const thinking = { type: 'adaptive', ...(model.hidesThoughts ? { display: 'summarized' } : {}) }
  return { thinking, effort: EFFORTS[effort] ?? (effort === 'max' ? 'max' : model.mostEffort), manual: false, on: true }
}

/** Thinking by a budget that leaves a fifth of the cap for the response. */
export function lowered(own: Members, cap: number): Members {
  const room = Math.max(LEAST_BUDGET, Math.floor(cap * 0.8))
  return { ...own, budget_tokens: Math.min(Number(own.budget_tokens), room) }
}

function isOn(thinking: Members): boolean {
  return thinking.type !== 'disabled' && thinking.type !== 'between_tools'
}

function withoutThinking(model: ClaudeModel, refuse: Refuse): Thinking {
  if (model.thinkingOff === null) {
    refuse('reasoning_effort', "This model always thinks. Ask for 'low' instead of 'none'.", true)
    return { manual: false, on: true }
  }
  const thinking = model.thinkingOff === 'omit' ? {} : { thinking: { type: model.thinkingOff } }
  return { ...thinking, manual: false, on: false }
}

/** At least a fifth of the cap is for the response; where that leaves less than the least budget, there is no room to think. */
function manual(wanted: number, cap: number): Thinking {
  const budget = Math.min(wanted, Math.floor(cap * 0.8))
  if (budget < LEAST_BUDGET) return { manual: false, on: false }
  return { thinking: { type: 'enabled', budget_tokens: budget }, manual: true, on: true }
}
