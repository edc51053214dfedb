/** What is asked stays known until an event of the server says that it changed; nothing is asked again by a clock. */
import { QueryClient } from '@tanstack/react-query'
import { ApiError } from './api-error.ts'

export function createQueries(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: 60_000,
        retry: (failures, error) => failures < 2 && isPassing(error),
      },
    },
  })
}

/** What the server refused it refuses again; what didn't reach it may. */
function isPassing(error: unknown): boolean {
  return !(error instanceof ApiError) || error.status === 0 || error.status >= 502
}
