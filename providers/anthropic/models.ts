/**
 * What Claude models accept and cost, by name: Anthropic changed the rules of thinking, sampling and forced tools with almost every
 * generation, and returns 400 for last year's form. An unknown or future name counts as the newest generation.
 */
import { asObject } from '../json.ts'
import type { ModelFacts } from '../provider.ts'

export interface ClaudeModel {
  /** `manual`: a budget of tokens. `adaptive`: an effort; the model decides how much. */
  thinking: 'none' | 'manual' | 'adaptive'
  /** The model thinks although nobody asked it to. */
  thinksByDefault: boolean
  /** How `reasoning_effort: none` is said; null where it can't be. */
  thinkingOff: 'omit' | 'disabled' | 'between_tools' | null
  /** Leaves the text of its thoughts out unless a summary is asked for. */
  hidesThoughts: boolean
  /** The highest effort it knows. */
  mostEffort: 'max' | 'xhigh'
  /** Returns 400 for any temperature, top_p or top_k. */
  rejectsSampling: boolean
  /** Takes temperature or top_p, not both. */
  oneSamplingParameter: boolean
  /** `tool_choice` any or tool is a 400. */
  rejectsForcedTools: boolean
  /** `output_config.format` and strict tools. */
  structuredOutput: boolean
  /** The last message may be the beginning of the response. */
  prefill: boolean
  /** Takes role `system` after a user message. */
  systemInMessages: boolean
  /** Of one image: tokens at most, and the longer side it is shrunk to. */
  image: { tokens: number; edge: number }
  maxOutputTokens: number | null
}

interface Version {
  family: string
  /** 405 for 4.5. */
  number: number
}

const NEW_NAME = /claude-([a-z]+)-(\d{1,2})(?:[.-](\d{1,2}))?(?!\d)/
const OLD_NAME = /claude-(\d)(?:[.-](\d{1,2}))?(?!\d)(?:-([a-z]+))?/

function versionOf(name: string): Version | null {
  const model = name.toLowerCase()
  const named = NEW_NAME.exec(model)
  if (named !== null) return { family: named[1] ?? '', number: Number(named[2]) * 100 + Number(named[3] ?? 0) }
  const old = OLD_NAME.exec(model)
  if (old !== null) return { family: old[3] ?? '', number: Number(old[1]) * 100 + Number(old[2] ?? 0) }
  return model.includes('claude-instant') ? { family: 'instant', number: 100 } : null
}

const NEWEST = 9_999

export function claudeModel(name: string): ClaudeModel {
  const { family, number } = versionOf(name) ?? { family: '', number: NEWEST }
  const isUnknown = number === NEWEST
  const alwaysThinks = /^(?:fable|mythos)$/.test(family) || (family === 'opus' && number >= 505)
  return {
    thinking: number < 307 ? 'none' : number < 406 ? 'manual' : 'adaptive',
    thinksByDefault: number >= 500 && !isUnknown,
    thinkingOff: thinkingOff(family, number, alwaysThinks),
    hidesThoughts: number >= 407,
    mostEffort: number >= 407 ? 'xhigh' : 'max',
    rejectsSampling: number >= 407 && !isUnknown,
    oneSamplingParameter: number >= 401 && !isUnknown,
    rejectsForcedTools: !isUnknown && number >= (/^(?:fable|mythos)$/.test(family) ? 501 : 505) && family !== 'haiku',
    structuredOutput: number >= 405,
    prefill: number < 406 || isUnknown,
    systemInMessages:
      !isUnknown && (number >= 505 || (family === 'opus' && number >= 408) || (family !== 'sonnet' && number >= 500)),
    image: number >= 407 ? { tokens: 4_784, edge: 2_576 } : { tokens: 1_600, edge: 1_568 },
    maxOutputTokens: isUnknown ? null : maxOutputTokens(family, number),
  }
}

function thinkingOff(family: string, number: number, alwaysThinks: boolean): ClaudeModel['thinkingOff'] {
  if (alwaysThinks) return null
  if (family === 'sonnet' && number >= 505) return 'between_tools'
  return number >= 500 && number !== NEWEST ? 'disabled' : 'omit'
}

function maxOutputTokens(family: string, number: number): number {
  if (number >= 406) return 128_000
  if (number >= 400) return family === 'opus' && number < 405 ? 32_000 : 64_000
  if (number >= 307) return 64_000
  return number >= 305 ? 8_192 : 4_096
}

/**
 * Measured over recorded calls; newer models cut the same text into up to a third more tokens. What a request asks for (its members,
 * where they are known) decides two things more: thinking, and a response in a form, each bring a hidden prompt.
 */
export function claudeFacts(name: string, json?: Readonly<Record<string, unknown>>): ModelFacts {
  const { number } = versionOf(name) ?? { number: NEWEST }
  const newer = number >= 407
  const thinks = json === undefined ? null : mayThink(claudeModel(name), json)
  const inForm = asObject(json?.response_format)?.type === 'json_schema'
  const always = (newer ? 12 : 8) + (thinks === true ? THINKING_PROMPT : 0) + (inForm ? FORM_PROMPT : 0)
  return {
    maxOutputTokens: claudeModel(name).maxOutputTokens,
    // From 4.0 on the thoughts shown are a summary, or nothing, of the thoughts billed.
    hiddenReasoning: number >= 400 && thinks !== false,
    encoding: 'o200k_base',
    // Recorded texts of sixty tokens and more: 1.08 to 1.35 times o200k_base's count, at the median 1.17; of newer models there is one
    // recording, of 1.16. The least: whoever stops a call must not pay more than reading it to its end would have cost.
    countPercent: newer ? 116 : 108,
    tokensPercent: newer ? 135 : 105,
    hiddenInput: { always, withTools: newer ? 600 : 310 },
  }
}

const THINKING_PROMPT = 35
const FORM_PROMPT = 90

function mayThink(model: ClaudeModel, json: Readonly<Record<string, unknown>>): boolean {
  const { thinking, reasoning_effort: effort } = json
  const isAsked = asObject(thinking) !== null || (typeof effort === 'string' && effort !== 'none')
  return model.thinking !== 'none' && (isAsked || model.thinksByDefault)
}

/** From 4.5 on, hosts sell a model that stays in a region for more than one that runs anywhere. */
export function isPricedByPlace(name: string): boolean {
  return (versionOf(name)?.number ?? NEWEST) >= 405
}

const MILLION = 1_000_000n

/**
 * `batch` is half price. `us` (inference kept in the United States) is 1.1 times from 4.6 on; the usage reader appends it to the
 * tier's name. Committed (`priority`) capacity is billed elsewhere, so it counts as the list price.
 */
export function claudeTier(tier: string | null, model: string): bigint {
  if (tier === null) return MILLION
  const { number } = versionOf(model) ?? { number: NEWEST }
  const batch = tier.startsWith('batch') ? 500_000n : MILLION
  return tier.endsWith(' us') && number >= 406 ? (batch * 11n) / 10n : batch
}
