/**
 * Requests whose members all stand on top: of images, speech, transcriptions and moderations. A JSON object, or a form with
 * files; what is sent on of a form is written anew, so that no server reads another form than we did.
 */
import type { DeploymentCall } from './deployment-call.ts'
import type { Change, Member } from './json-members.ts'
import { NEVER_SENT } from './known-members/additions.ts'
import type { Shape, Stranger } from './known-members/shape.ts'
import { changedBody, openAiRequest, prunedMembers } from './openai-body.ts'
import type { OpenAiFacts } from './openai-facts.ts'
import type { Refusal, UpstreamRequest } from './provider.ts'

type Json = Readonly<Record<string, unknown>>

/** A file of a form. */
export interface FormFile {
  /** Of its field, as it was sent: `image[]`. */
  field: string
  filename: string
  type: string | null
  bytes: Buffer
}

export interface Form {
  /** Texts in the order they came; a name that ends in `[]` may come several times. */
  fields: readonly (readonly [name: string, text: string])[]
  files: readonly FormFile[]
  /** Stands in none of them. */
  boundary: string
}

export interface FlatRequest {
  text: Buffer
  /** Of a JSON object; none of a form. */
  members: readonly Member[]
  /** Of a form: its texts by their names, lists of those that end in `[]`. */
  json: Json
  /** The name the caller asked for. */
  model: string
  stream: boolean
  /** Members that OpenAI's own API does not know. */
  strangers: readonly Stranger[]
  form: Form | null
}

/** Its defaults are those that are taken. */
export interface FlatCall extends DeploymentCall {
  request: FlatRequest
}

/** Its body is all of the pieces, one after the other. */
export interface PreparedRequest extends Omit<UpstreamRequest, 'body'> {
  body: readonly Buffer[]
}

/** What every capability with such requests has. */
export interface FlatCapability {
  /** What it takes beyond OpenAI's own members. */
  takes(apiBase: string | null): Shape
  /** What of the request it can't honour. A field of files is a list of them. */
  refuses(json: Json, model: string, apiBase: string | null): readonly Refusal[]
  prepare(call: FlatCall): PreparedRequest
}

export interface Outgoing {
  /** Below the API's address. */
  path: string
  /** What it answers with. */
  accept?: string
  /** Members in place of the caller's; null leaves one out. */
  changes?: Readonly<Record<string, unknown>>
}

/** To a server of OpenAI's dialect: the caller's bytes but for what has to be changed. */
export function prepareFlat(
  dialect: OpenAiFacts,
  call: FlatCall,
  { path, accept, changes = {} }: Outgoing,
): PreparedRequest {
  const { request, defaults, drop } = call
  const out = new Set([...NEVER_SENT, ...drop])
  const model = dialect.sentAs?.(call.model) ?? call.model
  const added = Object.entries(defaults).filter(([key]) => !Object.hasOwn(request.json, key) && !out.has(key))
  const changed = { ...Object.fromEntries(added), model, ...changes }
  const asked = { path, stream: request.stream, body: Buffer.alloc(0) }
  const { headers, ...target } = openAiRequest(dialect, call, asked)
  const head = accept === undefined ? headers : { ...headers, accept }
  if (request.form !== null) {
    const type = `multipart/form-data; boundary=${request.form.boundary}`
    return { ...target, headers: { ...head, 'content-type': type }, body: formBody(request.form, out, changed) }
  }
  const edits: Change[] = [...out]
    .filter((key) => Object.hasOwn(request.json, key))
    .map((key) => ({ key, remove: true }))
  for (const [key, value] of Object.entries(changed)) {
    if (value !== null) edits.push({ key, value: JSON.stringify(value) })
    else if (Object.hasOwn(request.json, key) && !out.has(key)) edits.push({ key, remove: true })
  }
  edits.push(...prunedMembers(call))
  return { ...target, headers: head, body: [changedBody(request, edits)] }
}

const LINE = '\r\n'

/** In one way only, whatever the caller's own looked like. */
function formBody({ fields, files, boundary }: Form, out: ReadonlySet<string>, changed: Json): Buffer[] {
  const kept = fields.filter(([name]) => !out.has(bareName(name)) && !Object.hasOwn(changed, bareName(name)))
  const added = Object.entries(changed).flatMap(([name, value]) =>
    value === null ? [] : [[name, typeof value === 'string' ? value : JSON.stringify(value)] as const],
  )
  const texts = [...added, ...kept].map(
    ([name, text]) =>
      `--${boundary}${LINE}content-disposition: form-data; name="${quoted(name)}"${LINE}${LINE}${text}${LINE}`,
  )
  const pieces: Buffer[] = [Buffer.from(texts.join(''))]
  for (const { field, filename, type, bytes } of files) {
    if (out.has(bareName(field))) continue
    const named = `content-disposition: form-data; name="${quoted(field)}"; filename="${quoted(filename)}"`
    const typed = `content-type: ${type ?? 'application/octet-stream'}`
    pieces.push(Buffer.from(`--${boundary}${LINE}${named}${LINE}${typed}${LINE}${LINE}`), bytes, Buffer.from(LINE))
  }
  return [...pieces, Buffer.from(`--${boundary}--${LINE}`)]
}

/** As browsers write them. */
function quoted(name: string): string {
  return name.replaceAll('"', '%22').replaceAll('\r', '%0D').replaceAll('\n', '%0A')
}

/** `image[]` is a list of `image`. */
export function bareName(field: string): string {
  return field.endsWith('[]') ? field.slice(0, -2) : field
}
