/**
 * When a chunk of a stream was sent, written into the chunk itself by the provider and read again by the client, as nanoseconds of
 * the clock that all processes of a machine share. The place is a member providers pad their chunks with, which a proxy passes on.
 */

const MARK = Buffer.from('"obfuscation":"')
const DIGITS = 18
const SIZE = MARK.length + DIGITS
/** What a frame holds until it is stamped. */
export const UNSTAMPED = { obfuscation: '0'.repeat(DIGITS) }

/** Nanoseconds; exact as a double for the first hundred days of the machine. */
export function clock(): number {
  return Number(process.hrtime.bigint())
}

/** A copy of the frame that says it is sent now. */
export function stamped(frame: Buffer): Buffer {
  const copy = Buffer.from(frame)
  const at = copy.lastIndexOf(MARK)
  copy.write(`${clock()}`.padStart(DIGITS, '0'), at + MARK.length, 'latin1')
  return copy
}

/** Finds the stamps in what arrives, wherever it is cut. `onStamp` is told when the chunk was sent. */
export function createStampReader(onStamp: (sentAt: number) => void): (piece: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0)
  return (piece) => {
    const bytes = rest.length === 0 ? piece : Buffer.concat([rest, piece])
    let from = 0
    let at = bytes.indexOf(MARK)
    while (at >= 0 && at + SIZE <= bytes.length) {
      onStamp(Number(bytes.toString('latin1', at + MARK.length, at + SIZE)))
      from = at + SIZE
      at = bytes.indexOf(MARK, from)
    }
    rest = bytes.subarray(at >= 0 ? at : Math.max(from, bytes.length - MARK.length + 1))
  }
}
