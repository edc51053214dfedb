/**
 * Fetches what a request names by URL and puts it into the request, for providers that fetch nothing. This happens after the hold, which
 * covers the maximum of each item, so a caller who can't pay fetches nothing. A budget bounds simultaneous fetches and their bytes.
 * Fails closed: what is too slow or too large to fetch is a 400 that names the place.
 */
import type { Fetching } from '../admission/fetch-budget.ts'
import { type AddressGuard, type GuardedAnswer, guardedRequest } from '../http/address-guard.ts'
import { TollgateError } from '../http/errors.ts'
import type { EndpointRequest, RemoteMedia, RemotePlace } from './endpoint.ts'

/** For all media of a request together: as much as providers that fetch nothing take inline. */
const BYTES_MAX = 20 * 1024 * 1024
const URLS_MAX = 16
const TIMEOUT_MS = 15_000
const REDIRECTS_MAX = 3
const TYPES = /^(?:image|audio|video|text)\/[\w.+-]+$|^application\/(?:pdf|json)$/

/** @throws {TollgateError} 400 where it is larger than the limit of what is fetched. */
export function refuseTooMany({ count, param }: RemoteMedia): void {
  if (count <= URLS_MAX) return
  throw new TollgateError(
    400,
    'too_many_media',
    `At most ${URLS_MAX} files can be named by URL. Send the others inline.`,
    { param },
  )
}

export interface FetchOptions {
  guard: AddressGuard
  fetching: Fetching
  /** Nobody waits for it any more. */
  disconnected: AbortSignal
}

/** Returns the request with what was fetched in it. @throws {TollgateError} 400, 429, 503. */
export async function inlineMedia(options: FetchOptions, media: RemoteMedia): Promise<EndpointRequest> {
  const deadline = AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), options.disconnected])
  const { places, filled } = media.open()
  let left = BYTES_MAX
  // One by one, each within what the others left: sixteen at once would need sixteen times the memory, and would go on after a failure.
  for (const place of places) {
    const { type, body } = await fetchOne(options, place, deadline, left)
    left -= body.length
    place.put(`data:${type};base64,${body.toString('base64')}`)
  }
  return filled()
}

async function fetchOne(
  options: FetchOptions,
  place: RemotePlace,
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
  throw unavailable(place, 'too many redirects')
}

async function ask(
  { guard, fetching }: FetchOptions,
  url: string,
  place: RemotePlace,
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

function unavailable({ param }: RemotePlace, why: string, cause?: unknown): TollgateError {
  return new TollgateError(
    400,
    'media_unavailable',
    `The content named in ${param} could not be used: ${why}. Send it inline, as a data: URL.`,
    { param, cause },
  )
}
