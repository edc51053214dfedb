/** Inflates compressed streams of a PDF within two bounds that all of them share: what they write, and what they read. */
import { constants, inflateSync } from 'node:zlib'

/** With `info`, what came of it and how many bytes that took. */
interface Inflated {
  buffer: Buffer
  engine: { bytesWritten: number }
}

/**
 * Returns a function that inflates the stream which starts at a place in the file, to the stream's own end: a length, or a word that
 * stands for the end, may lie. It returns null where the stream can't be read, or a bound is reached.
 */
export function createPdfInflate(bytes: Buffer, inflatedMax: number): (start: number) => string | null {
  let inflated = 0
  /** Bytes of the file that inflating may still read: streams may lie in each other, and read much to write nothing. */
  let readable = bytes.length

  return function inflate(start) {
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
      return null
    }
  }
}
