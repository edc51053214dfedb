/** What was used, in groups: the figures of the books. */
import { queryOptions } from '@tanstack/react-query'
import { type Answer, api, type Query } from './client.ts'

export type UsageAsked = NonNullable<Query<'/api/v1/usage/history'>>
export type Usage = Answer<'/api/v1/usage/history'>
export type UsageGroup = Usage['data'][number]

/** More groups than this are for the export. */
export const GROUPS_SHOWN = 500

export function usageQuery(asked: UsageAsked) {
  return queryOptions({
    queryKey: ['calls', 'usage', asked],
    queryFn: ({ signal }) => api('get', '/api/v1/usage/history', { query: { ...asked, limit: GROUPS_SHOWN }, signal }),
    placeholderData: (before) => before,
  })
}
