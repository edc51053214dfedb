/**
 * Whether a stream is asked for its usage (`stream_options`). A server that was seen to refuse the question is not asked for a while:
 * the question is ours in every byte, so what a server says of it is about our words. Learned only from a call whose caller wrote
 * nothing a server could quote instead, and only once the same call went through without; forgotten after ten minutes, for whoever
 * is not asked is not billed by what it says.
 */
import type { Call } from './call.ts'

const FORGET_MS = 10 * 60_000

/** Deployments not to be asked, by id. */
export interface StreamOptionsUnsupported {
  has(id: string): boolean
  add(id: string): unknown
}

/** @param now monotonic, in milliseconds. */
export function createStreamOptionsUnsupported(now: () => number): StreamOptionsUnsupported {
  const until = new Map<string, number>()
  return {
    has(id) {
      const end = until.get(id)
      if (end !== undefined && end <= now()) until.delete(id)
      return until.has(id)
    },
    add: (id) => until.set(id, now() + FORGET_MS),
  }
}

export function asksForUsage(
  streamOptionsUnsupported: StreamOptionsUnsupported,
  {
    request,
    candidate,
    streamOptionsUnsupportedId,
  }: Pick<Call, 'request' | 'candidate' | 'streamOptionsUnsupportedId'>,
): boolean {
  const { id } = candidate.deployment
  return request.stream && streamOptionsUnsupportedId !== id && !streamOptionsUnsupported.has(id)
}

/** What a server says of `stream_options` may be said of words of the caller's. */
export function speaksOfUsage({ request: { json } }: Pick<Call, 'request'>): boolean {
  const { stream_options: _, ...rest } = json
  return /stream_options|include_usage/i.test(JSON.stringify(rest))
}
