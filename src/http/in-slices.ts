/** Work on long bodies, in slices that take a millisecond or two: in between others have their turns of the event loop. */
import { createHash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'

export const SLICE = 1_048_576

/** Lets others have their turns once so many bytes are done, of one text or of many. */
export type Pace = (bytes: number) => Promise<void>

export function createPace(): Pace {
  let done = 0
  return async (bytes) => {
    if (done >= SLICE) {
      done = 0
      await nextTurn()
    }
    done += bytes
  }
}

/** SHA-256 of a body, whole or in its pieces, and of a text behind it. */
export async function hashInSlices(body: Buffer | readonly Buffer[], more = ''): Promise<Buffer> {
  const hash = createHash('sha256')
  const pace = createPace()
  for (const piece of Buffer.isBuffer(body) ? [body] : body)
    for (let at = 0; at < piece.length; at += SLICE) {
      const slice = piece.subarray(at, at + SLICE)
      await pace(slice.length)
      hash.update(slice)
    }
  return hash.update(more).digest()
}
