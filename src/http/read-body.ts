/** Reads a request body as bytes, with a limit on size. The server's requestTimeout limits the time. */
import type { IncomingMessage } from 'node:http'
import { TollgateError } from './errors.ts'

/** A type that is stated must be JSON's. @throws {TollgateError} 415. */
export function refuseOtherThanJson({ headers }: IncomingMessage): void {
  const stated = headers['content-type']
  if (stated === undefined || /^application\/(?:[\w.+-]+\+)?json\b/i.test(stated)) return
  throw new TollgateError(415, 'unsupported_media_type', 'Send JSON with content-type application/json.')
}

/**
 * @param ask what to do about a body that is too large.
 * @throws {TollgateError} 413 beyond `limit` bytes, 415 for a coded body, 400 when the caller stops in the middle.
 */
export function readBody(incoming: IncomingMessage, limit: number, ask = 'Send less.'): Promise<Buffer> {
  const coding = incoming.headers['content-encoding']
  if (coding !== undefined && coding !== 'identity') {
    throw new TollgateError(
      415,
      'unsupported_encoding',
      `Send the body uncompressed; content-encoding ${JSON.stringify(coding)} is not supported.`,
    )
  }
  const stated = Number(incoming.headers['content-length'] ?? 0)
  if (stated > limit) throw tooLarge(limit, ask)
  // A caller that left while its key was looked up sends no event any more.
  if (incoming.destroyed) throw incomplete()
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    incoming.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > limit) {
        incoming.pause()
        reject(tooLarge(limit, ask))
      } else chunks.push(chunk)
    })
    incoming.once('end', () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size)))
    const cut = () => {
      if (!incoming.complete) reject(incomplete())
    }
    incoming.once('error', cut)
    incoming.once('close', cut)
  })
}

function incomplete(): TollgateError {
  return new TollgateError(400, 'incomplete_body', 'The request body ended before it was complete.')
}

function tooLarge(limit: number, ask: string): TollgateError {
  const size = limit < 1_048_576 ? `${Math.floor(limit / 1024)} KiB` : `${Math.floor(limit / 1_048_576)} MiB`
  return new TollgateError(413, 'request_too_large', `The request body is larger than ${size}. ${ask}`, {
    headers: { Connection: 'close' },
  })
}
