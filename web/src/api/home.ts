/** What there is to spend, and what was spent. */
import { queryOptions } from '@tanstack/react-query'
import { type Answer, api } from './client.ts'

export type Home = Answer<'/api/v1/home'>

export const homeQuery = queryOptions({
  queryKey: ['credits', 'home'],
  queryFn: ({ signal }) => api('get', '/api/v1/home', { signal }),
})
