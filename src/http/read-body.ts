/** Reads a request body into one buffer that grows, within limits on its size, its pieces and the time it says nothing. */
import type { IncomingMessage } from 'node:http'
import { TollgateError } from './errors.ts'

export interface BodyRules {
  /** Bytes. */
  limit: number
  /** What to do about a body that is too large. */
  ask?: string
  /** Between two pieces. */
  silentMs: number
  /**
   * Asked before the buffer grows to so many bytes. Nothing more is read while its promise is open. @throws what the caller is told.
   */
  reserve?(bytes: number): Promise<void> | null
  /** Sees each piece as it comes. @throws what the caller is told. */
  onPiece?(piece: Buffer): void
}

/** Each piece costs as much as a kilobyte does; who sends a body in pieces of a few bytes asks for work, not for a response. */
const PIECES_FREE = 1_000
const PIECE_BYTES = 32

export function isMinced(pieces: number, size: number): boolean {
  return pieces > PIECES_FREE && size < pieces * PIECE_BYTES
}

/** A type that is stated must be JSON's. @throws {TollgateError} 415. */
export function refuseOtherThanJson({ headers }: IncomingMessage): void {
  const stated = headers['content-type']
  if (stated === undefined || /^application\/(?:[\w.+-]+\+)?json\b/i.test(stated)) return
  throw new TollgateError(415, 'unsupported_media_type', 'Send JSON with content-type application/json.')
}

/** The size a request states; null where it states none. */
export function statedSize({ headers }: IncomingMessage): number | null {
  const stated = headers['content-length']
  return stated === undefined ? null : Number(stated)
}

/**
 * @throws {TollgateError} 413 beyond the limit, 415 for a coded body, 408 when nothing comes, 400 when the caller stops in the middle
 *   or minces it.
 */
export function readBody(incoming: IncomingMessage, rules: BodyRules): Promise<Buffer> {
  refuseCoded(incoming)
  const { limit } = rules
  const stated = statedSize(incoming)
  if (stated !== null && stated > limit) throw tooLarge(rules)
  // A caller that left while its key was looked up sends no event any more.
  if (incoming.destroyed) throw incomplete()
  return new Promise((resolve, reject) => {
    let body: Buffer = Buffer.alloc(0)
    let size = 0
    let pieces = 0
    let isWaiting = false
    const silence = setTimeout(() => {
      if (isWaiting) silence.refresh()
      else fail(silent(rules.silentMs))
    }, rules.silentMs)

    function fail(error: unknown): void {
      clearTimeout(silence)
      incoming.off('data', take)
      incoming.pause()
      reject(error)
    }

    function take(piece: Buffer): void {
      try {
        append(piece)
      } catch (error) {
        fail(error)
      }
    }

    function append(piece: Buffer): void {
      const end = size + piece.length
      pieces += 1
      if (end > limit) throw tooLarge(rules)
      if (isMinced(pieces, end)) throw minced()
      rules.onPiece?.(piece)
      silence.refresh()
      if (size === 0) body = piece
      else {
        if (end > body.length) body = grown(body, size, end)
        piece.copy(body, size)
      }
      size = end
    }

    function grown(old: Buffer, used: number, needed: number): Buffer {
      const capacity = nextCapacity(needed, stated, limit)
      const wait = rules.reserve?.(capacity) ?? null
      if (wait !== null) {
        isWaiting = true
        incoming.pause()
        wait.then(() => {
          isWaiting = false
          silence.refresh()
          incoming.resume()
        }, fail)
      }
      const larger = Buffer.allocUnsafe(capacity)
      old.copy(larger, 0, 0, used)
      return larger
    }

    incoming.on('data', take)
    incoming.once('end', () => {
      clearTimeout(silence)
      resolve(body.subarray(0, size))
    })
    const cut = () => {
      if (!incoming.complete) fail(incomplete())
    }
    incoming.once('error', cut)
    incoming.once('close', cut)
  })
}

/** Twice as much as needed, and what was stated once a quarter of it is here: a size that is only stated costs nothing. */
function nextCapacity(needed: number, stated: number | null, limit: number): number {
  if (stated !== null && needed * 4 >= stated) return Math.max(stated, needed)
  return Math.min(limit, Math.max(needed * 2, 65_536))
}

function refuseCoded({ headers }: IncomingMessage): void {
  const coding = headers['content-encoding']
  if (coding === undefined || coding === 'identity') return
  throw new TollgateError(
    415,
    'unsupported_encoding',
    `Send the body uncompressed; content-encoding ${JSON.stringify(coding)} is not supported.`,
  )
}

function incomplete(): TollgateError {
  return new TollgateError(400, 'incomplete_body', 'The request body ended before it was complete.')
}

function silent(ms: number): TollgateError {
  return new TollgateError(
    408,
    'body_timeout',
    `Nothing of the request body came for ${ms / 1000} seconds. Try again.`,
    {
      headers: { 'Retry-After': '1', Connection: 'close' },
      limit: 'silent',
    },
  )
}

function minced(): TollgateError {
  return new TollgateError(
    413,
    'body_in_pieces',
    `The request body came in more than ${PIECES_FREE} pieces of less than ${PIECE_BYTES} bytes. Send it with a content-length.`,
    { headers: { Connection: 'close' }, limit: 'body_pieces' },
  )
}

function tooLarge({ limit, ask = 'Send less.' }: BodyRules): TollgateError {
  const size = limit < 1_048_576 ? `${Math.floor(limit / 1024)} KiB` : `${Math.floor(limit / 1_048_576)} MiB`
  return new TollgateError(413, 'request_too_large', `The request body is larger than ${size}. ${ask}`, {
    headers: { Connection: 'close' },
    limit: 'body_size',
  })
}
