/**
 * What a call consumed, in buckets that never overlap: every token is counted, and priced, exactly once.
 * Providers report overlapping numbers (cached inside prompt, reasoning inside or outside of completion);
 * each provider's reader turns them into this shape, and nothing after it needs to know which provider it was.
 */

/** What some calls are billed by in the place of tokens: each unit has a price of its own, or none. */
export interface Units {
  /** Images that were made. */
  images: number
  /** Images that were sent. */
  imagesRead: number
  /** Of a text that is spoken. */
  characters: number
  /** Of a recording that is heard. */
  milliseconds: number
}

export type Unit = keyof Units

export const UNITS = ['images', 'imagesRead', 'characters', 'milliseconds'] as const satisfies readonly Unit[]

export const NO_UNITS: Units = Object.freeze({ images: 0, imagesRead: 0, characters: 0, milliseconds: 0 })

/** Tokens, all integers >= 0, and units. `reasoning` is a part of `output`, kept for show only. `toolFees` counts uses by kind. */
export interface Usage extends Units {
  input: number
  cacheRead: number
  /** Cached sound, apart from the rest of what was cached: it has a price of its own. */
  cacheReadAudio: number
  cacheWrite5m: number
  cacheWrite1h: number
  output: number
  reasoning: number
  audioInput: number
  /** Of images that were sent, where their tokens are counted apart from those of texts. */
  imageInput: number
  audioOutput: number
  imageOutput: number
  toolFees: Readonly<Record<string, number>>
}

export const NO_USAGE: Usage = Object.freeze({
  ...NO_UNITS,
  input: 0,
  cacheRead: 0,
  cacheReadAudio: 0,
  cacheWrite5m: 0,
  cacheWrite1h: 0,
  output: 0,
  reasoning: 0,
  audioInput: 0,
  imageInput: 0,
  audioOutput: 0,
  imageOutput: 0,
  toolFees: Object.freeze({}),
})

/** All input tokens, cached, written and audio ones included: what price tiers and context windows are measured in. */
export function inputTokens(usage: Usage): number {
  const cached = usage.cacheRead + usage.cacheReadAudio + usage.cacheWrite5m + usage.cacheWrite1h
  return usage.input + cached + usage.audioInput + usage.imageInput
}

/** All output tokens, reasoning, audio and images included. */
export function outputTokens(usage: Usage): number {
  return usage.output + usage.audioOutput + usage.imageOutput
}

/** Whether anything was consumed. */
export function isUsed(usage: Usage): boolean {
  return inputTokens(usage) + outputTokens(usage) > 0 || UNITS.some((unit) => usage[unit] > 0)
}

/** Usage as OpenAI shows it: cached and audio tokens inside `prompt_tokens`, reasoning inside `completion_tokens`. */
export interface OpenAiUsage {
  prompt_tokens: number
  completion_tokens: number
  total_tokens: number
  prompt_tokens_details: {
    cached_tokens: number
    audio_tokens: number
    cache_write_tokens?: number
    image_tokens?: number
  }
  completion_tokens_details: {
    reasoning_tokens: number
    audio_tokens: number
    accepted_prediction_tokens: number
    rejected_prediction_tokens: number
    image_tokens?: number
  }
  images?: number
  images_read?: number
  characters?: number
  seconds?: number
}

/** Whatever the provider's dialect was, clients see OpenAI's. Members few clients know appear only where they are not 0. */
export function usageRecord(usage: Usage): OpenAiUsage {
  const prompt = inputTokens(usage)
  const completion = outputTokens(usage)
  const written = usage.cacheWrite5m + usage.cacheWrite1h
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: {
      cached_tokens: usage.cacheRead + usage.cacheReadAudio,
      audio_tokens: usage.audioInput,
      ...(written > 0 ? { cache_write_tokens: written } : {}),
      ...(usage.imageInput > 0 ? { image_tokens: usage.imageInput } : {}),
    },
    completion_tokens_details: {
      reasoning_tokens: usage.reasoning,
      audio_tokens: usage.audioOutput,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
      ...(usage.imageOutput > 0 ? { image_tokens: usage.imageOutput } : {}),
    },
    ...(usage.images > 0 ? { images: usage.images } : {}),
    ...(usage.imagesRead > 0 ? { images_read: usage.imagesRead } : {}),
    ...(usage.characters > 0 ? { characters: usage.characters } : {}),
    ...(usage.milliseconds > 0 ? { seconds: usage.milliseconds / 1_000 } : {}),
  }
}
