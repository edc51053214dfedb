/**
 * What a request names by URL, put into the request itself, for providers that fetch nothing. It happens once the call is held at the
 * most such an item can be, within a budget of simultaneous fetches and of bytes: who can't pay fetches nothing. Fails closed: what
 * can't be had in time and size is a 400 that names the place.
 */
import { asObject } from '../../providers/json.ts'
import { changeMembers, objectMembers } from '../../providers/json-members.ts'
import type { ChatRequest } from '../../providers/provider.ts'
import type { Fetching } from '../admission/fetch-budget.ts'
import { type AddressGuard, type GuardedAnswer, guardedRequest } from '../http/address-guard.ts'
import { TollgateError } from '../http/errors.ts'

/** Of all media of a request together: what Gemini takes inline. */
const BYTES_MAX = 20 * 1024 * 1024
const URLS_MAX = 16
const TIMEOUT_MS = 15_000
const REDIRECTS_MAX = 3
const TYPES = /^(?:image|audio|video|text)\/[\w.+-]+$|^application\/(?:pdf|json)$/

interface Place {
  url: string
  /** `messages[0].content[1].image_url.url` */
  param: string
  put(dataUrl: string): void
}

/** Whether something has to be fetched before the request can be sent. @throws {TollgateError} 400 where that is too much. */
export function namesMedia(request: ChatRequest, mustFetch: (url: string) => boolean): boolean {
  const count = remotePlaces(request.json.messages).filter(({ url }) => mustFetch(url)).length
  if (count <= URLS_MAX) return count > 0
  throw new TollgateError(
    400,
    'too_many_media',
    `At most ${URLS_MAX} files can be named by URL. Send the others inline.`,
    { param: 'messages' },
  )
}

export interface FetchOptions {
  guard: AddressGuard
  fetching: Fetching
  /** Nobody waits for it any more. */
  disconnected: AbortSignal
}

/**
 * @param mustFetch whether a URL has to be replaced; those of the provider's own storage do not.
 * @throws {TollgateError} 400, 429, 503.
 */
export async function inlineMedia(
  options: FetchOptions,
  request: ChatRequest,
  mustFetch: (url: string) => boolean,
): Promise<ChatRequest> {
  const copy: unknown = structuredClone(request.json.messages)
  const deadline = AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), options.disconnected])
  let left = BYTES_MAX
  // One by one, each with what the others left: sixteen at once would be sixteen times as much in memory, and go on after a failure.
  for (const place of remotePlaces(copy)) {
    if (!mustFetch(place.url)) continue
    const { type, body } = await fetchOne(options, place, deadline, left)
    left -= body.length
    place.put(`data:${type};base64,${body.toString('base64')}`)
  }
  const text = changeMembers(request.text, request.members, [{ key: 'messages', value: JSON.stringify(copy) }])
  return { ...request, text, members: objectMembers(text), json: { ...request.json, messages: copy } }
}

async function fetchOne(
  options: FetchOptions,
  place: Place,
  deadline: AbortSignal,
  left: number,
): Promise<{ type: string; body: Buffer }> {
  let url = place.url
  for (let hops = 0; hops <= REDIRECTS_MAX; hops += 1) {
    const answer = await ask(options, url, place, deadline, left)
    const next = answer.status >= 300 && answer.status < 400 ? answer.headers.location : undefined
    if (typeof next === 'string' && URL.canParse(next, url)) {
      url = new URL(next, url).href
      continue
    }
    if (answer.status !== 200) throw unavailable(place, `its server answered ${answer.status}`)
    if (answer.body.length > left) {
      const what = left === BYTES_MAX ? 'it is' : 'all media together are'
      throw unavailable(place, `${what} larger than ${BYTES_MAX >> 20} MB`)
    }
    const type =
      String(answer.headers['content-type'] ?? '')
        .split(';')[0]
        ?.trim()
        .toLowerCase() ?? ''
    if (!TYPES.test(type)) throw unavailable(place, `its server says it is ${JSON.stringify(type.slice(0, 60))}`)
    return { type, body: answer.body }
  }
  throw unavailable(place, 'it is moved on and on')
}

async function ask(
  { guard, fetching }: FetchOptions,
  url: string,
  place: Place,
  deadline: AbortSignal,
  left: number,
): Promise<GuardedAnswer> {
  if (deadline.aborted) throw unavailable(place, 'it took too long')
  try {
    return await guardedRequest(guard, url, {
      method: 'GET',
      headers: { accept: '*/*', 'accept-encoding': 'identity', 'user-agent': 'tollgate' },
      timeoutMs: TIMEOUT_MS,
      maxBytes: left + 1,
      onBytes: (bytes) => fetching.take(bytes),
      signal: deadline,
    })
  } catch (error) {
    if (error instanceof TollgateError && error.limit !== null) throw error
    if (error instanceof TollgateError) throw new TollgateError(400, error.code, error.message, { param: place.param })
    throw unavailable(place, deadline.aborted ? 'it took too long' : 'it could not be fetched', error)
  }
}

function unavailable({ param }: Place, why: string, cause?: unknown): TollgateError {
  return new TollgateError(
    400,
    'media_unavailable',
    `The content named in ${param} could not be used: ${why}. Send it inline, as a data: URL.`,
    { param, cause },
  )
}

/** Every http(s) URL of a part that is an image, a sound, a video or a file. */
function remotePlaces(messages: unknown): Place[] {
  return list(messages).flatMap((message, m) =>
    list(asObject(message)?.content).flatMap((part, p) => {
      const found = holderOf(asObject(part))
      if (found === null) return []
      const { holder, key, path } = found
      const url = holder[key]
      if (typeof url !== 'string' || !/^https?:\/\//i.test(url)) return []
      const put = (dataUrl: string) => {
        holder[key] = dataUrl
      }
      return [{ url, param: `messages[${m}].content[${p}].${path}`, put }]
    }),
  )
}

type Json = Record<string, unknown>

/** Where a part may hold a URL: `image_url` is an object with `url`, or the URL itself. */
function holderOf(part: Json | null): { holder: Json; key: string; path: string } | null {
  if (part === null) return null
  if (part.type === 'file') {
    const file = asObject(part.file)
    return file === null ? null : { holder: file, key: 'file_data', path: 'file.file_data' }
  }
  const kind = ['image_url', 'video_url', 'audio_url'].find((name) => part.type === name)
  if (kind === undefined) return null
  const inner = asObject(part[kind])
  return inner === null ? { holder: part, key: kind, path: kind } : { holder: inner, key: 'url', path: `${kind}.url` }
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : []
}
