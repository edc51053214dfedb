/** Images that a chat shows beside its text. They are billed by tokens of their own, which no text tells. */
import type { Reading } from './reading.ts'
import type { Usage } from './usage.ts'

/** Of an image of about a megapixel, where nobody knows better. */
const USUAL_TOKENS = 1_290

/** @param tokens of each. */
export function noteImages(reading: Reading, images: number, tokens = USUAL_TOKENS): void {
  if (images === 0) return
  const { seen } = reading
  reading.seen = { ...seen, imageOutput: (seen?.imageOutput ?? 0) + images * tokens }
}

/** How many images a message of a chat completion, or a delta of one, shows. */
export function imagesIn(message: unknown): number {
  const images = (message as { images?: unknown } | null | undefined)?.images
  return Array.isArray(images) ? images.length : 0
}

/** A usage that does not say which of its tokens are an image's: as many as the images that were seen usually take. */
export function withImages(usage: Usage, { seen }: Pick<Reading, 'seen'>): Usage {
  const written = usage.output - usage.reasoning
  const drawn = usage.imageOutput > 0 ? 0 : Math.min(written, seen?.imageOutput ?? 0)
  return drawn === 0 ? usage : { ...usage, output: usage.output - drawn, imageOutput: drawn }
}
