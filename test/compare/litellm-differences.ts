/** What differs between two answers to one request: the status, which members the body has and of what kind, which headers there are. */
import type { Json } from '../support/response-answers.ts'

export interface HttpAnswer {
  status: number
  headers: Readonly<Partial<Record<string, string>>>
  body: string
}

export interface AnswerDifference {
  /** `status`, `header x-litellm-model-id`, `body .error.type`. */
  what: string
  ours: string
  theirs: string
}

/** Values that a program reads, where their kind is not enough. */
const READ =
  /^\.(?:object|error\.(?:type|code|param)|choices\[\]\.finish_reason|choices\[\]\.message\.role|usage\..*|type|stop_reason|data\[\]\.object)$/
/** Of the connection and of the machine that answers. */
const NOT_COMPARED =
  /^(?:date|server|connection|keep-alive|content-length|transfer-encoding|vary|access-control-.*|cache-control)$/

export function differencesOf({ ours, theirs }: { ours: HttpAnswer; theirs: HttpAnswer }): AnswerDifference[] {
  const found: AnswerDifference[] = []
  const compare = (what: string, one: string, other: string) => {
    if (one !== other) found.push({ what, ours: one, theirs: other })
  }
  compare('status', String(ours.status), String(theirs.status))
  const type = ({ headers }: HttpAnswer) => (headers['content-type'] ?? 'none').split(';')[0] ?? 'none'
  compare('header content-type', type(ours), type(theirs))
  for (const name of new Set([...Object.keys(ours.headers), ...Object.keys(theirs.headers)])) {
    if (NOT_COMPARED.test(name) || name === 'content-type') continue
    compare(`header ${name}`, name in ours.headers ? 'there' : 'missing', name in theirs.headers ? 'there' : 'missing')
  }
  // Of bodies of another status, the shape is that of another thing.
  if (ours.status >= 400 !== theirs.status >= 400) return found
  const [one, other] = [shapeOf(ours), shapeOf(theirs)]
  for (const path of new Set([...one.keys(), ...other.keys()]))
    compare(`body ${path}`, one.get(path) ?? 'missing', other.get(path) ?? 'missing')
  return found
}

/** By path, the kind of value or the value. Null is as good as missing for who reads it. */
function shapeOf({ headers, body }: HttpAnswer): Map<string, string> {
  const shape = new Map<string, string>()
  if (headers['content-type']?.startsWith('text/event-stream')) {
    const frames = body.split(/\r?\n\r?\n/).flatMap((frame) => /^data: ?(.*)$/m.exec(frame)?.[1] ?? [])
    shape.set('(done)', String(frames.includes('[DONE]')))
    for (const frame of frames) if (frame !== '[DONE]') walk(parsed(frame), '', shape)
    return shape
  }
  walk(parsed(body), '', shape)
  return shape
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function walk(value: unknown, path: string, shape: Map<string, string>): void {
  if (value === null || value === undefined) return
  if (Array.isArray(value)) {
    shape.set(`${path}[]`, 'list')
    for (const one of value) walk(one, `${path}[]`, shape)
    return
  }
  if (typeof value === 'object') {
    for (const [name, member] of Object.entries(value as Json)) walk(member, `${path}.${name}`, shape)
    return
  }
  shape.set(path, READ.test(path) ? JSON.stringify(value) : typeof value)
}
