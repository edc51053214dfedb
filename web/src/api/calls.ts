/** Calls: the list, and one of them in full. */
import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query'
import { type Answer, api, type Query } from './client.ts'

export type CallRow = Answer<'/api/v1/calls'>['data'][number]
export type Call = Answer<'/api/v1/calls/{call_id}'>
type CallsAsked = NonNullable<Query<'/api/v1/calls'>>

const PAGE = 50
const LATEST = 6

export function callsQuery(asked: CallsAsked) {
  return infiniteQueryOptions({
    queryKey: ['calls', 'list', asked],
    queryFn: ({ pageParam, signal }) =>
      api('get', '/api/v1/calls', {
        query: { ...asked, limit: PAGE, ...(pageParam === null ? {} : { cursor: pageParam }) },
        signal,
      }),
    initialPageParam: null as string | null,
    getNextPageParam: ({ next_cursor: next }) => next,
    placeholderData: (before) => before,
  })
}

export const latestCallsQuery = queryOptions({
  queryKey: ['calls', 'latest'],
  queryFn: ({ signal }) => api('get', '/api/v1/calls', { query: { limit: LATEST }, signal }),
})

export function callQuery(id: string) {
  return queryOptions({
    queryKey: ['calls', 'one', id],
    queryFn: ({ signal }) => api('get', '/api/v1/calls/{call_id}', { path: { call_id: id }, signal }),
  })
}
