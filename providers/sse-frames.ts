/**
 * Cuts a byte stream into server-sent-event frames without decoding it. A frame ends at an empty line, LF or CRLF; chunk
 * boundaries may lie anywhere, inside a UTF-8 sequence or between CR and LF too.
 */

const LF = 0x0a
const CR = 0x0d
/** A frame larger than this is not a chat completion. */
const FRAME_BYTES_MAX = 32 * 1024 * 1024

/** What to do with a frame: forward it as it is, forward these bytes instead, or nothing. */
export type Verdict = true | Buffer | null

export interface SseFrames {
  /** Takes a chunk. Returns what may be forwarded now. Frames that pass unchanged and side by side come as one slice. */
  push(chunk: Buffer): Buffer | null
  /** The connection ended: an unterminated last frame still counts. */
  end(): Buffer | null
}

/** `judge` sees each frame once, its closing empty line included. */
export function createSseFrames(judge: (frame: Buffer) => Verdict): SseFrames {
  /** Bytes of the frame that is not complete yet, in a buffer of our own that grows by doubling. */
  let rest: Buffer | null = null
  let restLength = 0
  let searched = 0

  function cut(buffer: Buffer, length: number, from: number): { out: Buffer | null; consumed: number } {
    const out: Buffer[] = []
    let runStart = 0
    let start = 0
    let end = frameEnd(buffer, length, from)
    while (end >= 0) {
      const verdict = judge(buffer.subarray(start, end))
      if (verdict !== true) {
        if (start > runStart) out.push(buffer.subarray(runStart, start))
        if (verdict !== null) out.push(verdict)
        runStart = end
      }
      start = end
      end = frameEnd(buffer, length, start)
    }
    if (start > runStart) out.push(buffer.subarray(runStart, start))
    return { out: join(out), consumed: start }
  }

  function keep(bytes: Buffer): void {
    rest = Buffer.allocUnsafe(Math.max(1024, bytes.length * 2))
    bytes.copy(rest)
    restLength = bytes.length
    searched = Math.max(0, restLength - 3)
  }

  function append(chunk: Buffer): Buffer {
    const needed = restLength + chunk.length
    if (needed > FRAME_BYTES_MAX) throw new RangeError('a frame of the stream is too large')
    let target = rest!
    if (target.length < needed) {
      target = Buffer.allocUnsafe(needed * 2)
      rest!.copy(target, 0, 0, restLength)
      rest = target
    }
    chunk.copy(target, restLength)
    restLength = needed
    return target
  }

  return {
    push(chunk) {
      const buffer = rest === null ? chunk : append(chunk)
      const length = rest === null ? chunk.length : restLength
      const { out, consumed } = cut(buffer, length, rest === null ? 0 : searched)
      if (consumed === length) rest = null
      else if (rest === null || consumed > 0) keep(buffer.subarray(consumed, length))
      else searched = Math.max(0, restLength - 3)
      return out
    },
    end() {
      if (rest === null) return null
      // Cut off inside its own line ends, it gets whole ones.
      let length = restLength
      while (rest[length - 1] === LF || rest[length - 1] === CR) length -= 1
      const frame = Buffer.concat([rest.subarray(0, length), Buffer.from('\n\n')])
      rest = null
      const verdict = judge(frame)
      return verdict === true ? frame : verdict
    },
  }
}

/** One past the empty line that ends the frame which starts before `from`, or -1. */
function frameEnd(buffer: Buffer, length: number, from: number): number {
  let at = buffer.indexOf(LF, from)
  while (at >= 0 && at + 1 < length) {
    if (buffer[at + 1] === LF) return at + 2
    if (buffer[at + 1] === CR && at + 2 < length && buffer[at + 2] === LF) return at + 3
    at = buffer.indexOf(LF, at + 1)
  }
  return -1
}

function join(pieces: Buffer[]): Buffer | null {
  if (pieces.length === 0) return null
  return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces)
}

const DATA = Buffer.from('data:')
const DATA_SPACE = Buffer.from('data: ')

/** The payload of a frame that is a single `data:` line, as it stands there; null for anything else. */
export function dataLine(frame: Buffer): Buffer | null {
  if (frame.length < 7 || frame.compare(DATA, 0, 5, 0, 5) !== 0) return null
  const line = frame.indexOf(LF)
  const empty = line + 1 < frame.length && (frame[line + 1] === LF || frame[line + 1] === CR)
  if (!empty) return null
  const start = frame[5] === 0x20 ? 6 : 5
  return frame.subarray(start, frame[line - 1] === CR ? line - 1 : line)
}

/** Event name and joined data of a frame of any form. */
export function parseFrame(frame: Buffer): { event: string | null; data: string } {
  let event: string | null = null
  const data: string[] = []
  for (const line of frame.toString('utf8').split(/\r?\n/)) {
    if (line.startsWith('data:')) data.push(line.slice(line[5] === ' ' ? 6 : 5))
    else if (line.startsWith('event:')) event = line.slice(6).trim()
  }
  return { event, data: data.join('\n') }
}

/** Whether a frame already has the canonical form `data: ...\n\n`. */
export function isCanonical(frame: Buffer): boolean {
  return frame.compare(DATA_SPACE, 0, 6, 0, 6) === 0 && frame[frame.length - 2] === LF && frame[frame.length - 3] !== CR
}

/** `data: ` + payload + empty line. */
export function dataFrame(payload: Buffer | string): Buffer {
  return Buffer.concat([DATA_SPACE, typeof payload === 'string' ? Buffer.from(payload) : payload, Buffer.from('\n\n')])
}
