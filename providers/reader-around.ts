/** The reader of a stream that comes wrapped: another reader reads what was unwrapped. */
import type { StreamReader } from './provider.ts'

export function readerAround(inner: StreamReader, own: Pick<StreamReader, 'push' | 'end'>): StreamReader {
  return {
    ...inner,
    ...own,
    get reading() {
      return inner.reading
    },
    get finishReasons() {
      return inner.finishReasons
    },
    get frames() {
      return inner.frames
    },
    get shownBytes() {
      return inner.shownBytes
    },
    get isFinal() {
      return inner.isFinal
    },
    get hasContent() {
      return inner.hasContent
    },
  }
}
