/** A document as bytes, encoded once: requests cost no encoding, and readers that stop share one copy. */
import type { IncomingHttpHeaders } from 'node:http'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { acceptsCoding } from '../accepts-coding.ts'
import { Reply } from '../reply.ts'

export interface Packed {
  plain: Uint8Array
  small: Uint8Array
}

export async function pack(plain: Uint8Array): Promise<Packed> {
  return { plain, small: await promisify(gzip)(plain) }
}

/** Returns the document in a coding that its reader accepts. */
export function sendPacked(
  { plain, small }: Packed,
  asked: Pick<IncomingHttpHeaders, 'accept-encoding'>,
  headers: Readonly<Record<string, string>>,
): Reply<Uint8Array> {
  const isSmall = acceptsCoding(asked, 'gzip')
  const coding: Record<string, string> = isSmall ? { 'Content-Encoding': 'gzip' } : {}
  return new Reply(isSmall ? small : plain, { headers: { ...headers, Vary: 'Accept-Encoding', ...coding } })
}
