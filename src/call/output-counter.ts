/** Counts what a running stream has shown. Each count reads only the new text. */
import type { StreamReader } from '../../providers/provider.ts'
import { outputTokens } from '../../providers/usage.ts'

/**
 * Output tokens so far: those stated plus those shown since, and never more than the bytes shown, so a statement in the middle can't move
 * the hold further than that. Where two pieces of text meet, it may count one token too many, never one too few.
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
