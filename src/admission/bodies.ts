/**
 * The memory that bodies of requests take, from their first byte to the end of their calls: in total and for each caller. A caller
 * without credits is told so before more than a megabyte of it is read, where no call of theirs can be free or paid by a key of
 * their own. Fails open there: where the database does not tell, the body is read and the hold decides.
 */
import type { IncomingMessage } from 'node:http'
import { TollgateError } from '../http/errors.ts'
import { readBody, statedSize } from '../http/read-body.ts'
import type { Caller } from '../identity/caller.ts'
import type { FindCredit } from './find-credit.ts'

/** The first bytes of each body do not count, so small bodies pass while large ones have taken everything. */
const FREE = 64 * 1024
/** Up to this size a body is read before anybody looks for its caller's credits. */
const SMALL = 1024 * 1024
/** No caller has more of the total than a quarter, nor have all without credits together. One body fits, however large. */
const PART = 4
const ASK = 'Send less, or ask the operator to raise tollgate.limits.body_megabytes.'

export interface BodyLimits {
  /** Of one body, in bytes. */
  bodyBytes: number
  /** Of all together. */
  totalBytes: number
  /** Being read for one caller at once. */
  uploadsPerCaller: number
  /** Between two pieces of a body. */
  silentMs: number
}

export interface Body {
  bytes: Buffer
  /** The call is over; once. */
  release(): void
}

export interface Bodies {
  /**
   * @param onPiece sees the body as it comes. @param isFree nothing is charged for it: nobody is asked for credits, and everybody has the share of those without.
   * @throws {TollgateError} 400, 402, 403, 408, 413, 415, 429, 503, and what `onPiece` throws.
   */
  read(incoming: IncomingMessage, caller: Caller, onPiece: (piece: Buffer) => void, isFree?: boolean): Promise<Body>
  /** Bytes in use, beyond what is free. */
  readonly used: number
}

interface Share {
  used: number
  uploads: number
}

export function createBodies(limits: BodyLimits, findCredit: FindCredit): Bodies {
  const { bodyBytes, totalBytes, silentMs } = limits
  const part = Math.max(bodyBytes, Math.floor(totalBytes / PART))
  const all = { used: 0, most: totalBytes }
  const poor = { used: 0, most: part }
  const shares = new Map<string, Share>()

  async function read(
    incoming: IncomingMessage,
    caller: Caller,
    onPiece: (piece: Buffer) => void,
    isFree = false,
  ): Promise<Body> {
    const name = `${caller.organizationId} ${caller.userId}`
    const share = shares.get(name) ?? { used: 0, uploads: 0 }
    if (share.uploads >= limits.uploadsPerCaller) throw tooManyUploads()
    shares.set(name, share)
    share.uploads += 1
    let own = 0
    let isAsked = false
    let isPoor = false

    async function askCredit(): Promise<void> {
      isAsked = true
      isPoor = isFree || !(await findCredit(caller, incoming.headers['idempotency-key']))
      if (isPoor) poor.used += own
    }

    function reserve(bytes: number): Promise<void> | null {
      claim(bytes)
      return bytes > SMALL && !isAsked ? askCredit() : null
    }

    function claim(bytes: number): void {
      const more = bytes - FREE - own
      if (more <= 0) return
      if (all.used + more > all.most) throw noMemory()
      if (share.used + more > (isPoor ? bodyBytes : part)) throw noShare()
      if (isPoor && poor.used + more > poor.most) throw noShare()
      take(more)
    }

    function take(bytes: number): void {
      own += bytes
      share.used += bytes
      all.used += bytes
      if (isPoor) poor.used += bytes
    }

    function release(): void {
      take(-own)
      if (share.used === 0 && share.uploads === 0) shares.delete(name)
    }

    try {
      const stated = statedSize(incoming) ?? 0
      if (stated > SMALL) await askCredit()
      // The size it states counts at once: the next large body of callers without credits is refused before it comes.
      if (isPoor && stated <= bodyBytes) claim(stated)
      const bytes = await readBody(incoming, { limit: bodyBytes, ask: ASK, silentMs, reserve, onPiece })
      share.uploads -= 1
      return { bytes, release }
    } catch (error) {
      share.uploads -= 1
      release()
      throw error
    }
  }

  return {
    read,
    get used() {
      return all.used
    },
  }
}

function noMemory(): TollgateError {
  return new TollgateError(
    503,
    'bodies_in_flight',
    'The large requests under way take all memory there is for them. Try again shortly, or send less.',
    { headers: { 'Retry-After': '2' }, limit: 'body_memory' },
  )
}

function noShare(): TollgateError {
  return new TollgateError(
    429,
    'caller_bodies_in_flight',
    'Your large requests under way take all memory you have for them. Send this one when some of them have finished.',
    { headers: { 'Retry-After': '2' }, limit: 'caller_body_memory' },
  )
}

function tooManyUploads(): TollgateError {
  return new TollgateError(
    429,
    'too_many_uploads',
    'Too many of your requests are still being sent. Finish sending some of them first.',
    { headers: { 'Retry-After': '1' }, limit: 'caller_uploads' },
  )
}
