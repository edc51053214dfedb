/** What of a chat completion becomes input: estimated for the hold, and as texts to be counted where nobody stated usage. */
import type { ChatCapability, ModelFacts } from '../../../providers/provider.ts'
import { estimateChatInput, estimateText, type InputEstimate } from '../../metering/estimate.ts'
import { visitInput } from '../../metering/request-input.ts'

/** With texts of which nobody knows whether they become input: they count as if they did. */
export function withTexts(estimate: InputEstimate, texts: readonly string[]): InputEstimate {
  if (texts.length === 0) return estimate
  const sum = (sizeOf: (text: string) => number) => texts.reduce((total, text) => total + sizeOf(text), 0)
  return { ...estimate, tokens: estimate.tokens + sum(estimateText), bytes: estimate.bytes + sum(Buffer.byteLength) }
}

/** The base estimate in this model's tokens, and what it adds unseen; never more of the text than a token a byte. */
export function estimateInput(
  json: Readonly<Record<string, unknown>>,
  { tokensPercent, hiddenInput }: Pick<ModelFacts, 'tokensPercent' | 'hiddenInput'>,
  mediaTokens: ReturnType<ChatCapability['mediaTokens']>,
  unpackId: ChatCapability['unpackId'],
): InputEstimate {
  const base = estimateChatInput(json, mediaTokens, unpackId)
  const hasTools = Array.isArray(json.tools) && json.tools.length > 0
  const hidden = hiddenInput.always + (hasTools ? hiddenInput.withTools : 0)
  const own = ({ tokens, bytes }: { tokens: number; bytes: number }) =>
    Math.min(Math.ceil((tokens * tokensPercent) / 100), bytes)
  // A provider that bills less framing than the base estimate takes has a negative part hidden.
  const tokens = Math.max(1, own(base) + hidden)
  const predicted = { ...base.predicted, tokens: own(base.predicted) }
  return { ...base, tokens, bytes: Math.max(tokens, base.bytes + hidden), predicted }
}

/** What becomes input for sure, framing included; images and sound are apart. `letThrough` counts too. */
export function inputTexts(
  json: Readonly<Record<string, unknown>>,
  unpackId: ChatCapability['unpackId'],
  letThrough: readonly string[] = [],
): { texts: string[]; framing: number } {
  const texts: string[] = [...letThrough]
  let framing = 0
  visitInput(json, unpackId, {
    text: (text, isSure) => isSure && texts.push(text),
    json: (value, isSure) => isSure && texts.push(JSON.stringify(value)),
    framing: (tokens, isSure) => {
      if (isSure) framing += tokens
    },
    role: (role) => texts.push(role),
    media: () => {},
    unbounded: () => {},
    prediction: () => {},
  })
  return { texts, framing }
}
