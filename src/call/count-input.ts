/** Counts text with the model's tokenizer, or the one that stands in for it, where the provider did not say what it counted. */
import type { ChatCapability, ModelFacts } from '../../providers/provider.ts'
import { visitInput } from '../metering/request-input.ts'
import type { Tokenizer } from '../metering/tokenizer.ts'

type Counting = Pick<ModelFacts, 'encoding' | 'countPercent'>

/** Tokens of a text, or of several, in the model's own count. @param payer the organization, which takes turns with others. */
export async function countText(
  tokenizer: Tokenizer,
  text: string | readonly string[],
  facts: Counting,
  payer: string,
): Promise<number> {
  return Math.floor(((await tokenizer.count(text, facts.encoding, payer)) * facts.countPercent) / 100)
}

/** Tokens of a request's text, framing included; images and sound are apart. */
export async function countInput(
  tokenizer: Tokenizer,
  json: Readonly<Record<string, unknown>>,
  facts: Counting,
  unpackId: ChatCapability['unpackId'],
  payer: string,
  letThrough: readonly string[] = [],
): Promise<number> {
  const pieces: string[] = [...letThrough]
  let framing = 0
  visitInput(json, unpackId, {
    text: (text, isSure) => isSure && pieces.push(text),
    json: (value, isSure) => isSure && pieces.push(JSON.stringify(value)),
    framing: (tokens, isSure) => {
      if (isSure) framing += tokens
    },
    role: (role) => pieces.push(role),
    media: () => {},
    unbounded: () => {},
    prediction: () => {},
  })
  return (await countText(tokenizer, pieces, facts, payer)) + framing
}
