/** What a model is made for, by its name: what it can be asked for, where the operator does not say. */
export type ModelKind =
  | 'chat'
  | 'embedding'
  | 'completion'
  | 'image_generation'
  | 'audio_speech'
  | 'audio_transcription'
  | 'moderation'
  | 'rerank'

/** Embedders say so, or belong to a family that does nothing else. */
const EMBEDS = /embed|(?:^|\/)(?:bge|e5|gte|multilingual-e5)-|(?:^|\/)sentence-transformers\/|minilm|(?:^|\/)voyage-/i
/** OpenAI's last models that go on from a text, and what was tuned from them. */
const GOES_ON = /(?:^|[/:])(?:gpt-3\.5-turbo-instruct|text-(?:davinci|curie|babbage|ada)-|davinci|curie|babbage)/i

/** Families that do nothing else; Gemini's models that draw write too. */
const ONLY: readonly (readonly [RegExp, ModelKind])[] = [
  [
    /(?:^|\/)(?:gpt-image-|chatgpt-image-|dall-e-|imagen-|grok-(?:2-image|imagine-image|imagine-1)|stable-diffusion|sdxl|flux)/i,
    'image_generation',
  ],
  [/(?:^|\/)(?:tts-|gpt-[\w.-]*-tts|playai-tts|canopylabs\/orpheus)/i, 'audio_speech'],
  [/whisper|(?:^|\/)gpt-[\w.-]*-transcribe/i, 'audio_transcription'],
  [/(?:^|\/)(?:omni|text)-moderation-/i, 'moderation'],
  [/rerank/i, 'rerank'],
]

/** A name that says nothing is a chat model's. */
export function kindOfName(model: string): ModelKind {
  const only = ONLY.find(([pattern]) => pattern.test(model))
  if (only !== undefined) return only[1]
  if (EMBEDS.test(model)) return 'embedding'
  return GOES_ON.test(model) ? 'completion' : 'chat'
}
