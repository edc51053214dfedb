/** What of a chat completion becomes input: estimated for the hold, and as texts to be counted where nobody stated usage. */
import type { Stranger } from '../../../providers/known-members/shape.ts'
import type { ChatCapability, ModelFacts } from '../../../providers/provider.ts'
import { estimateChatInput, estimateText, type InputEstimate, inTokensOf } from '../../metering/estimate.ts'
import { visitInput } from '../../metering/request-input.ts'
import { type SureTexts, sureTexts } from '../../metering/sure-texts.ts'
import { withoutStrangers } from './without-strangers.ts'

type Json = Readonly<Record<string, unknown>>

/** In this model's tokens. Nobody knows whether members that are let through become input: each counts once, as if it did. */
export function estimateInput(
  json: Json,
  facts: Pick<ModelFacts, 'tokensPercent' | 'hiddenInput'>,
  mediaTokens: ReturnType<ChatCapability['mediaTokens']>,
  unpackId: ChatCapability['unpackId'],
  letThrough: readonly Stranger[] = [],
): InputEstimate {
  const base = withStrangers(estimateChatInput(json, mediaTokens, unpackId), letThrough, () =>
    estimateChatInput(withoutStrangers(json, letThrough), mediaTokens, unpackId),
  )
  return inTokensOf(facts, base, Array.isArray(json.tools) && json.tools.length > 0)
}

/**
 * The walk of a request visits most strangers, but not below names that are never input elsewhere, nor their names everywhere. So they
 * count as they were visited or as their text, whichever is more. What they hold of media is what the walk made of it.
 */
function withStrangers(
  all: InputEstimate,
  letThrough: readonly Stranger[],
  estimateOthers: () => InputEstimate,
): InputEstimate {
  if (letThrough.length === 0) return all
  const others = estimateOthers()
  const texts = letThrough.map(strangerText)
  const sum = (sizeOf: (text: string) => number) => texts.reduce((total, text) => total + sizeOf(text), 0)
  return {
    ...all,
    tokens: Math.max(all.tokens, others.tokens + sum(estimateText)),
    bytes: Math.max(all.bytes, others.bytes + sum(Buffer.byteLength)),
  }
}

function strangerText({ path, value }: Stranger): string {
  return JSON.stringify({ [String(path.at(-1))]: value })
}

/** What becomes input for sure. Members that are let through count, each once. */
export function inputTexts(
  json: Json,
  unpackId: ChatCapability['unpackId'],
  letThrough: readonly Stranger[] = [],
): SureTexts {
  const { texts, framing } = sureTexts((visitor) => visitInput(withoutStrangers(json, letThrough), unpackId, visitor))
  return { texts: [...letThrough.map(strangerText), ...texts], framing }
}
