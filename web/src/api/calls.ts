/** Calls: the list, and one of them in full. */
import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query'
import { api } from './client.ts'

interface Name {
  id: string
  name: string | null
}

export interface CallRow {
  call_id: string
  request_id: string | null
  status: string
  outcome: string | null
  model: string | null
  provider: string | null
  user: Name
  key: Name | null
  organization: Name
  started_at: string
  settled_at: string | null
  credits: string | null
  held_credits: string
  provenance: string | null
  input_tokens: number | null
  output_tokens: number | null
}

export interface Call extends CallRow {
  session_id: string | null
  run: Name | null
  cost: string | null
  power_level: string | null
  refunded_credits: string | null
  price_source: string | null
  lines: { what: string; quantity: number | null; rate: string | null; cost: string }[]
  timeline: { at: string; what: string; detail: string | null }[]
  attempts: { provider: string; deployment: string; status: string; error: string | null; ms: number | null }[]
}

interface Calls {
  data: CallRow[]
  next_cursor: string | null
}

export interface CallsAsked {
  q?: string
  state?: string
  model?: string
  key?: string
  user?: string
  scope?: string
}

const PAGE = 50
const LATEST = 6

function calls(query: object, signal: AbortSignal): Promise<Calls> {
  return api('get', '/api/v1/calls' as never, { query: query as never, signal }) as Promise<Calls>
}

export function callsQuery(asked: CallsAsked) {
  return infiniteQueryOptions({
    queryKey: ['calls', 'list', asked],
    queryFn: ({ pageParam, signal }) => calls({ ...asked, cursor: pageParam, limit: PAGE }, signal),
    initialPageParam: null as string | null,
    getNextPageParam: ({ next_cursor: next }) => next,
    placeholderData: (before) => before,
  })
}

export const latestCallsQuery = queryOptions({
  queryKey: ['calls', 'latest'],
  queryFn: ({ signal }) => calls({ limit: LATEST }, signal),
})

export function callQuery(id: string) {
  return queryOptions({
    queryKey: ['calls', 'one', id],
    queryFn: ({ signal }) =>
      api('get', '/api/v1/calls/{call_id}' as never, { path: { call_id: id } as never, signal }) as Promise<Call>,
  })
}
