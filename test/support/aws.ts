/** Amazon Bedrock as its documentation describes it: it verifies signatures by the published steps, and sends its binary event stream. */
import { createHash, createHmac } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { ReceivedRequest } from './upstream.ts'

const sha256 = (data: Buffer | string) => createHash('sha256').update(data).digest('hex')
const hmac = (key: Buffer | string, text: string) => createHmac('sha256', key).update(text).digest()
/** RFC 3986: what `encodeURIComponent` leaves alone, AWS does not. */
const escaped = (text: string) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)

/** What is wrong with a request's Signature Version 4; null where it is right. Every segment of its path is escaped once more. */
export function wrongSignature({ method, path, headers, body }: ReceivedRequest, secret: string): string | null {
  const stated = /^AWS4-HMAC-SHA256 Credential=([^/]+)\/([^,]+), SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/.exec(
    headers.authorization ?? '',
  )
  if (stated === null) return 'no signature'
  const [, , scope = '', names = '', signature] = stated
  const header = (name: string) => String(headers[name] ?? '').trim()
  const date = header('x-amz-date')
  if (!/^\d{8}T\d{6}Z$/.test(date) || !scope.startsWith(date.slice(0, 8))) return 'no date'
  if (!names.split(';').includes('host')) return 'the host is not signed'
  if (headers['x-amz-security-token'] !== undefined && !names.includes('x-amz-security-token'))
    return 'the session is not signed'
  if (header('x-amz-content-sha256') !== sha256(body)) return 'another body'
  const [pathname = '', query = ''] = path.split('?')
  const request = [
    method,
    pathname.split('/').map(escaped).join('/'),
    query,
    ...names.split(';').map((name) => `${name}:${header(name)}`),
    '',
    names,
    sha256(body),
  ].join('\n')
  const text = ['AWS4-HMAC-SHA256', date, scope, sha256(request)].join('\n')
  const key = scope.split('/').reduce<Buffer | string>((made, part) => hmac(made, part), `AWS4${secret}`)
  return hmac(key, text).toString('hex') === signature ? null : 'another signature'
}

/** A message of `application/vnd.amazon.eventstream`: lengths, headers, body, and the sum of each. */
export function eventMessage(headers: Readonly<Record<string, string>>, body: string | Buffer): Buffer {
  const parts = Object.entries({ ':content-type': 'application/json', ...headers }).map(([name, value]) => {
    const length = Buffer.alloc(2)
    length.writeUInt16BE(Buffer.byteLength(value))
    return Buffer.concat([Buffer.from([name.length]), Buffer.from(name), Buffer.from([7]), length, Buffer.from(value)])
  })
  const head = Buffer.concat(parts)
  const payload = Buffer.from(body)
  const prelude = Buffer.alloc(8)
  prelude.writeUInt32BE(16 + head.length + payload.length)
  prelude.writeUInt32BE(head.length, 4)
  const message = Buffer.concat([prelude, sumOf(prelude), head, payload])
  return Buffer.concat([message, sumOf(message)])
}

function sumOf(bytes: Buffer): Buffer {
  const sum = Buffer.alloc(4)
  sum.writeUInt32BE(crc32(bytes))
  return sum
}

/** An event of Claude's in a chunk, padded as Bedrock does. */
export function chunkMessage(event: Readonly<Record<string, unknown>>): Buffer {
  const bytes = Buffer.from(JSON.stringify(event)).toString('base64')
  return eventMessage(
    { ':event-type': 'chunk', ':message-type': 'event' },
    JSON.stringify({ bytes, p: 'abcdefgh'.slice(0, bytes.length % 8) }),
  )
}

export function exceptionMessage(name: string, message: string): Buffer {
  return eventMessage({ ':exception-type': name, ':message-type': 'exception' }, JSON.stringify({ message }))
}
