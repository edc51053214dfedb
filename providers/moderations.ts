/** Moderations as a capability: texts and images in, a judgement of each out, in OpenAI's dialect. */
import { type FlatCapability, prepareFlat } from './flat-request.ts'
import { asObject, parseJson } from './json.ts'
import { changeMembers, objectMembers } from './json-members.ts'
import { NOTHING_MORE } from './known-members/media-members.ts'
import { PLAIN_MODEL } from './openai-dialect.ts'
import { readOpenAiErrorFrame } from './openai-errors.ts'
import type { OpenAiFacts } from './openai-facts.ts'
import type { ModelFacts, Provider, ProviderError, ProviderResponse } from './provider.ts'
import { emptyReading } from './reading.ts'
import { createShownModel } from './shown-model.ts'

export interface ModerationsCapability extends FlatCapability {
  model(name: string): ModelFacts
  /** The provider bills nothing for it. */
  isFree(model: string): boolean
  /** A 200 body; null when it is not a response. @param shown the name the caller asked for. */
  readResponse(body: Buffer, shown: string): ProviderResponse | ProviderError | null
}

/** One that may have them. */
export type MaybeModerationsProvider = Provider & { moderations?: ModerationsCapability }

export function openAiModerations(dialect: OpenAiFacts): ModerationsCapability {
  return {
    model: () => PLAIN_MODEL,
    isFree: (model) => /^(?:omni|text)-moderation-/.test(model),
    takes: () => NOTHING_MORE,
    refuses: () => [],
    prepare: (call) => prepareFlat(dialect, call, { path: '/moderations' }),
    readResponse: (body, shown) => readJudgement(dialect, body, shown),
  }
}

function readJudgement(dialect: OpenAiFacts, body: Buffer, shown: string): ProviderResponse | ProviderError | null {
  const json = asObject(parseJson(body))
  if (json === null) return null
  if (!Array.isArray(json.results)) return asObject(json.error) === null ? null : readOpenAiErrorFrame(dialect, json)
  return {
    reading: { ...emptyReading(), model: typeof json.model === 'string' && json.model !== '' ? json.model : null },
    finishReasons: [],
    hasContent: true,
    outputText: () => '',
    shownText: () => '',
    body: () => changeMembers(body, objectMembers(body), createShownModel(shown).changes(json.model)),
  }
}
