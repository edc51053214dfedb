/** Counts what a running stream has shown, each time only what is new. */
import type { StreamReader } from '../../providers/provider.ts'
import { outputTokens } from '../../providers/usage.ts'

/**
 * Output tokens so far: as stated, plus what was shown since, and never more than the bytes shown: a statement in the middle moves the
 * hold no further than that. Each call counts only the text that is new; where two pieces meet it may count a token too many, never
 * one too few.
 */
export function createOutputCounter(
  reader: StreamReader,
  count: (text: string) => Promise<number>,
): () => Promise<number> {
  let usage = reader.reading.usage
  let position = 0
  let counted = 0
  let bytes = 0
  let measured = 0
  return async () => {
    const stated = reader.reading.usage
    if (stated !== usage) {
      usage = stated
      counted = 0
    }
    const delta = reader.textSince(position)
    position = delta.position
    if (delta.text !== '') counted += await count(delta.text)
    if (stated === null) return counted
    bytes += Buffer.byteLength(reader.shownText(measured))
    measured = position
    return Math.min(outputTokens(stated) + counted, bytes)
  }
}
