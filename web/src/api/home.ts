/** What there is to spend, and what was spent. */
import { queryOptions } from '@tanstack/react-query'
import { api } from './client.ts'

export interface Home {
  available: string
  allocated: string | null
  held: string
  running_calls: number
  spent_today: string
  spent_month: string
  lasts_until: string | null
  resets_at: string | null
}

export const homeQuery = queryOptions({
  queryKey: ['credits', 'home'],
  queryFn: ({ signal }) => api('get', '/api/v1/home' as never, { signal }) as Promise<Home>,
})
