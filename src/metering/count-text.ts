/** Counts text with the model's tokenizer, or the one that stands in for it, where the provider did not say what it counted. */
import type { ModelFacts } from '../../providers/provider.ts'
import type { Tokenizer } from './tokenizer.ts'

/** Tokens of a text, or of several, in the model's own count. @param payer the organization, which takes turns with others. */
export async function countText(
  tokenizer: Tokenizer,
  text: string | readonly string[],
  facts: Pick<ModelFacts, 'encoding' | 'countPercent'>,
  payer: string,
): Promise<number> {
  return Math.floor(((await tokenizer.count(text, facts.encoding, payer)) * facts.countPercent) / 100)
}
