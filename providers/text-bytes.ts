/** How much of a frame of OpenAI's dialect can be text, told without reading it as JSON. */

const DELTA = Buffer.from('"delta"')
const CHOICES = Buffer.from('"choices"')
/** Of the oldest servers, which may send an empty delta beside it. */
const TEXT = Buffer.from('"text"')
/** How a letter begins that is written as an escape: a member may be written so, and is found by no look at the bytes. */
export const LETTER_ESCAPE = Buffer.from('\\u00')
const CONTENT = Buffer.from('{"content":"')
const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN = 0x7b
const CLOSE = 0x7d
const SPACE = 0x20
const COLON = 0x3a

/**
 * Bytes of all deltas in the frame: what stands in them becomes the text, whatever its members are called. Of the usual delta, which is
 * content alone, the text itself. The key can't stand inside a string, where every quote is escaped. A frame in which nothing reads
 * as a delta counts whole.
 */
export function textBytes(frame: Buffer): number {
  let at = frame.indexOf(DELTA)
  if (at < 0) return frame.includes(CHOICES) || frame.includes(LETTER_ESCAPE) ? frame.length : 0
  let sum = 0
  while (at >= 0) {
    let start = at + DELTA.length
    while (frame[start] === SPACE || frame[start] === COLON) start += 1
    if (frame[start] !== OPEN) return frame.length
    const end = endOfObject(frame, start)
    sum += Math.max(0, end - start - (isContent(frame, start) ? CONTENT.length + 2 : 2))
    at = frame.indexOf(DELTA, end)
  }
  return sum === 0 && (frame.includes(TEXT) || frame.includes(LETTER_ESCAPE)) ? frame.length : sum
}

function isContent(frame: Buffer, start: number): boolean {
  for (let at = 0; at < CONTENT.length; at += 1) if (frame[start + at] !== CONTENT[at]) return false
  return true
}

/** The place after the object that begins at `start`; the frame's end where it is not closed. */
function endOfObject(frame: Buffer, start: number): number {
  let depth = 0
  for (let at = start; at < frame.length; at += 1) {
    const byte = frame[at]
    if (byte === QUOTE) at = endOfString(frame, at)
    else if (byte === OPEN) depth += 1
    else if (byte === CLOSE) {
      depth -= 1
      if (depth === 0) return at + 1
    }
  }
  return frame.length
}

/** The closing quote of the string that begins at `start`. */
function endOfString(frame: Buffer, start: number): number {
  let at = start + 1
  while (at < frame.length && frame[at] !== QUOTE) at += frame[at] === BACKSLASH ? 2 : 1
  return at
}
