/**
 * How many tokens an image of OpenAI's models takes. The first family has three sizes and three qualities, and OpenAI publishes what each
 * takes. Later models make any size; what they take is not published, so they are bounded by their pixels, at twice what has been seen.
 */
import type { ImageAsked, ImageTokens } from '../images.ts'

type Quality = 'low' | 'medium' | 'high'

/** Square, and larger. */
const FIRST: Readonly<Record<Quality, readonly [number, number]>> = {
  low: [272, 408],
  medium: [1_056, 1_584],
  high: [4_160, 6_240],
}
/** Of as many pixels as a square has. */
const LATER: Readonly<Record<Quality, number>> = { low: 1_024, medium: 4_096, high: 16_384 }
const SQUARE = 1_024 * 1_024
/** The largest of those a model chooses from. */
const LARGEST_CHOSEN = 1_536 * 1_024
/** A draft of a stream takes a hundred. */
const PARTIAL = 100

/** The caller's words, and those of the models that were before. */
const QUALITIES: Readonly<Record<string, Quality>> = {
  low: 'low',
  medium: 'medium',
  high: 'high',
  auto: 'high',
  standard: 'medium',
  hd: 'high',
}

function qualityOf(word: string): Quality | undefined {
  return Object.hasOwn(QUALITIES, word) ? QUALITIES[word] : undefined
}

export function isGptImage(model: string): boolean {
  return /(?:^|\/)(?:gpt-image-\d|chatgpt-image-)/.test(model)
}

/** Null for models, and qualities, of which nothing is known. */
export function tokensMade({ size, quality, partials }: ImageAsked, model: string): ImageTokens | null {
  const most = qualityOf(quality ?? 'auto')
  if (!isGptImage(model) || most === undefined) return null
  const usual = (quality ?? 'auto') === 'auto' ? 'medium' : most
  const drafts = partials * PARTIAL
  if (/gpt-image-1(?![\d])|chatgpt-image/.test(model)) {
    const isSquare = size !== null && size.width === 1_024 && size.height === 1_024
    const of = (level: Quality, square: boolean) => FIRST[level][square ? 0 : 1]
    return { most: of(most, isSquare) + drafts, expected: of(usual, isSquare || size === null) + drafts }
  }
  const pixels = size === null ? LARGEST_CHOSEN : Math.max(size.width * size.height, SQUARE / 4)
  const of = (level: Quality) => Math.ceil((LATER[level] * pixels) / SQUARE)
  return { most: of(most) + drafts, expected: Math.ceil(of(usual) / 2) + drafts }
}

/** An image that is sent takes some hundreds, and as many as a large one that is made where it is to be kept faithfully. */
export function tokensRead({ isFaithful }: ImageAsked, model: string): ImageTokens {
  const isLater = !/gpt-image-1(?![\d])|chatgpt-image/.test(model)
  return isFaithful || isLater ? { most: 8_192, expected: 4_160 } : { most: 2_048, expected: 323 }
}

/** What quality its server is asked for, in its own words; null where it is the caller's. */
export function ownQuality(quality: unknown, model: string): string | null {
  if (!isGptImage(model) || (quality !== 'standard' && quality !== 'hd')) return null
  return qualityOf(quality) ?? null
}
