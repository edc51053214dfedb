/** Inflates compressed streams of a PDF within two bounds that all of them share: what they write, and what they read. */
import { constants, inflateSync } from 'node:zlib'

/** With `info`, what came of it and how many bytes that took. */
interface Inflated {
  buffer: Buffer
  engine: { bytesWritten: number }
}

export interface PdfInflate {
  /** To the stream's own end; null where it can't be read, or a bound is reached. */
  inflate(start: number): string | null
  /** Bytes so far; all that it might where it came to an end before its end. */
  readonly inflated: number
}

/**
 * Inflates streams that start at a place in the file. A length, or a word that stands for the end, may lie: a stream goes to its own
 * end.
 */
export function createPdfInflate(bytes: Buffer, inflatedMax: number): PdfInflate {
  let inflated = 0
  /** Bytes of the file that inflating may still read: streams may lie in each other, and read much to write nothing. */
  let readable = bytes.length

  function inflate(start: number): string | null {
    const left = inflatedMax - inflated
    if (left <= 0 || readable <= 0) return null
    try {
      // Readers take what is there of one that was cut off.
      const options = { maxOutputLength: left, finishFlush: constants.Z_SYNC_FLUSH, info: true } as const
      const { buffer, engine } = inflateSync(bytes.subarray(start, start + readable), options) as unknown as Inflated
      inflated += buffer.length
      readable -= engine.bytesWritten
      return readable > 0 ? buffer.toString('latin1') : null
    } catch {
      inflated += left
      return null
    }
  }

  return {
    inflate,
    get inflated() {
      return inflated
    },
  }
}
