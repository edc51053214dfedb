/** The input of a chat completion: an estimate for the hold, and texts to count where no usage was stated. */
import type { Stranger } from '../../../providers/known-members/shape.ts'
import type { ChatCapability, ModelFacts } from '../../../providers/provider.ts'
import { estimateChatInput, estimateText, type InputEstimate, inTokensOf } from '../../metering/estimate.ts'
import { visitInput } from '../../metering/request-input.ts'
import { type SureTexts, sureTexts } from '../../metering/sure-texts.ts'
import { withoutStrangers } from './without-strangers.ts'

type Json = Readonly<Record<string, unknown>>

/** Tokens of this model. Unknown members that are let through may become input, so each counts once. */
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
 * The walk over a request visits most unknown members, but not below names that are never input, and not all of their names. So they
 * count as they were visited or as their text, whichever is more. Media inside them count as the walk counted them.
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

/** What surely becomes input. Unknown members that are let through count once each. */
export function inputTexts(
  json: Json,
  unpackId: ChatCapability['unpackId'],
  letThrough: readonly Stranger[] = [],
): SureTexts {
  const { texts, framing } = sureTexts((visitor) => visitInput(withoutStrangers(json, letThrough), unpackId, visitor))
  return { texts: [...letThrough.map(strangerText), ...texts], framing }
}
