/**
 * A multipart form as its texts and files, read in one way only: what servers read differently is refused. Nothing of a file is copied,
 * and the time is linear in the body. What goes on is written anew from what was read here.
 */
import { randomBytes } from 'node:crypto'
import { bareName, type Form, type FormFile } from '../../providers/flat-request.ts'
import { TollgateError } from './errors.ts'

const PARTS_MAX = 128
const HEAD_BYTES_MAX = 8 * 1024
const TYPE = /^multipart\/form-data *(;.*)$/i
const BOUNDARY = /; *boundary=(?:"([\w'()+,./:=? -]{1,70})"|([\w'()+./:=?-]{1,70}))(?= *(?:;|$))/gi
const HEADER = /^([\w-]+): *(.*?) *$/
/** Names in quotes, without escapes: decoders disagree about all else. */
const DISPOSITION = /^form-data; *name="([^"\\]*)"(?:; *filename="([^"\\]*)")?(?:; *filename\*=[^\s;"]+)?$/i
const PLAIN_CODING = /^(?:binary|7bit|8bit)$/i

export function isForm(contentType: string | undefined): contentType is string {
  return contentType !== undefined && /^multipart\/form-data\b/i.test(contentType)
}

/** @throws {TollgateError} 400 for what is no form, or can be read in two ways. */
export function readForm(body: Buffer, contentType: string): Form {
  const fields: [string, string][] = []
  const files: FormFile[] = []
  const seen = new Set<string>()
  for (const { name, filename, type, bytes } of partsOf(body, boundaryOf(contentType))) {
    const bare = bareName(name)
    if (seen.has(name) ? bare === name : [bare, `${bare}[]`].some((other) => seen.has(other) && other !== name))
      throw malformed(`Duplicate field ${JSON.stringify(bare.slice(0, 100))} in the form. Send it once.`)
    seen.add(name)
    if (filename === null) fields.push([name, textOf(bytes)])
    else files.push({ field: name, filename, type, bytes })
  }
  return { fields, files, boundary: `tollgate-${randomBytes(16).toString('hex')}` }
}

/** Its texts by their names. */
export function jsonOf({ fields }: Form): Record<string, unknown> {
  const json: Record<string, unknown> = Object.create(null)
  for (const [name, text] of fields) {
    const bare = bareName(name)
    if (bare === name) json[name] = text
    else json[bare] = [...((json[bare] as string[] | undefined) ?? []), text]
  }
  return { ...json }
}

function boundaryOf(contentType: string): string {
  const found = [...(TYPE.exec(contentType)?.[1]?.matchAll(BOUNDARY) ?? [])]
  const boundary = found[0]?.[1] ?? found[0]?.[2]
  const named = contentType.match(/boundary/gi)?.length ?? 0
  if (boundary !== undefined && found.length === 1 && named === 1 && !boundary.endsWith(' ')) return boundary
  throw malformed('The content-type of a form must name its boundary once.')
}

interface Part {
  name: string
  filename: string | null
  type: string | null
  bytes: Buffer
}

function* partsOf(body: Buffer, boundary: string): Generator<Part> {
  const first = Buffer.from(`--${boundary}`)
  const next = Buffer.from(`\r\n--${boundary}`)
  if (!startsWith(body, first, 0)) throw malformed('The form must begin with its boundary.')
  let at = first.length
  for (let count = 0; !isEnd(body, at); count += 1) {
    if (count === PARTS_MAX) throw malformed(`The form has more than ${PARTS_MAX} parts.`)
    if (!startsWith(body, CRLF, at)) throw malformed('A boundary of the form does not end its line.')
    const head = body.indexOf(BLANK, at)
    if (head < 0 || head - at > HEAD_BYTES_MAX) throw malformed('A part of the form has no end of its headers.')
    const start = head + BLANK.length
    // A part without a byte ends with the line that ends its headers.
    const end = body.indexOf(next, start - CRLF.length)
    if (end < 0) throw malformed('The form ends before its last boundary.')
    yield {
      ...headOf(body.subarray(at + CRLF.length, head + CRLF.length)),
      bytes: body.subarray(start, Math.max(start, end)),
    }
    at = end + next.length
  }
}

const CRLF = Buffer.from('\r\n')
const BLANK = Buffer.from('\r\n\r\n')
const DASHES = Buffer.from('--')

function startsWith(body: Buffer, text: Buffer, at: number): boolean {
  return body.length >= at + text.length && body.compare(text, 0, text.length, at, at + text.length) === 0
}

/** The last boundary, and nothing after it but the end of its line. */
function isEnd(body: Buffer, at: number): boolean {
  if (!startsWith(body, DASHES, at)) return false
  const rest = body.subarray(at + DASHES.length)
  if (rest.length === 0 || rest.equals(CRLF)) return true
  throw malformed('Something follows the last boundary of the form.')
}

function headOf(head: Buffer): Omit<Part, 'bytes'> {
  const headers = new Map<string, string>()
  for (const line of textOf(head).split('\r\n').slice(0, -1)) {
    const [, name = '', value = ''] = HEADER.exec(line) ?? []
    if (name === '' || headers.has(name.toLowerCase())) throw malformed('A header of a part of the form is malformed.')
    headers.set(name.toLowerCase(), value)
  }
  const named = DISPOSITION.exec(headers.get('content-disposition') ?? '')
  if (named === null || named[1] === '')
    throw malformed(
      'Each part of the form must say content-disposition: form-data; name="...", in quotes and without escapes.',
    )
  if (!PLAIN_CODING.test(headers.get('content-transfer-encoding') ?? 'binary'))
    throw malformed('Send the parts of the form as they are, without a content-transfer-encoding.')
  return { name: named[1]!, filename: named[2] ?? null, type: typeOf(headers.get('content-type')) }
}

/** A type is sent on only where it is one. */
function typeOf(stated: string | undefined): string | null {
  return stated !== undefined && /^[\w.+-]+\/[\w.+-]+(?:; *[\w.+-]+=[\w.+-]+)*$/.test(stated) ? stated : null
}

function textOf(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw malformed('The texts of the form must be UTF-8.', cause)
  }
}

function malformed(message: string, cause?: unknown): TollgateError {
  return new TollgateError(400, 'invalid_form', message, { param: 'request_body', cause })
}
