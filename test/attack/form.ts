/** A multipart form as a trick writes it, byte by byte. */
import type { Ask } from './trick.ts'

const BOUNDARY = 'cut-here'
export const FORM_TYPE = `multipart/form-data; boundary=${BOUNDARY}`

/** @param head the part's lines before its blank one. */
export function part(head: string, body: string | Buffer): Buffer {
  return Buffer.concat([Buffer.from(`--${BOUNDARY}\r\n${head}\r\n\r\n`), Buffer.from(body), Buffer.from('\r\n')])
}

export function field(name: string, text: string): Buffer {
  return part(`content-disposition: form-data; name="${name}"`, text)
}

export function file(name: string, bytes: Buffer, filename = 'a.bin', type = 'application/octet-stream'): Buffer {
  return part(`content-disposition: form-data; name="${name}"; filename="${filename}"\r\ncontent-type: ${type}`, bytes)
}

export function form(path: string, parts: readonly Buffer[], type = FORM_TYPE): Ask {
  const text = Buffer.concat([...parts, Buffer.from(`--${BOUNDARY}--\r\n`)])
  return { path, text, headers: { 'content-type': type } }
}
