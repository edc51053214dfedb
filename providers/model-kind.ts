/** What a model is made for, by its name: what it can be asked for, where the operator does not say. */
export type ModelKind = 'chat' | 'embedding' | 'completion'

/** Embedders say so, or belong to a family that does nothing else. */
const EMBEDS = /embed|(?:^|\/)(?:bge|e5|gte|multilingual-e5)-|(?:^|\/)sentence-transformers\/|minilm|(?:^|\/)voyage-/i
/** OpenAI's last models that go on from a text, and what was tuned from them. */
const GOES_ON = /(?:^|[/:])(?:gpt-3\.5-turbo-instruct|text-(?:davinci|curie|babbage|ada)-|davinci|curie|babbage)/i

/** A name that says nothing is a chat model's. */
export function kindOfName(model: string): ModelKind {
  if (EMBEDS.test(model)) return 'embedding'
  return GOES_ON.test(model) ? 'completion' : 'chat'
}
