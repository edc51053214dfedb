/** The caller's API keys. */
import { queryOptions, useMutation, useQueryClient } from '@tanstack/react-query'
import { api } from './client.ts'

export interface ApiKey {
  id: string
  name: string
  preview: string
  state: string
  created_at: string
  last_used_at: string | null
  expires_at: string | null
  models: string[] | null
  budget: { limit: string; used: string; period: string | null; resets_at: string | null } | null
  requests_per_minute: number | null
  tokens_per_minute: number | null
  spent: string
}

export type MadeKey = ApiKey & { key: string }

export interface NewKey {
  name: string
  models?: string[]
  max_budget?: string
  budget_duration?: string
  rpm_limit?: number
  tpm_limit?: number
  expires_in_days?: number
}

const KEYS = ['keys', 'own'] as const

export const keysQuery = queryOptions({
  queryKey: KEYS,
  queryFn: ({ signal }) => api('get', '/api/v1/keys' as never, { signal }) as Promise<{ data: ApiKey[] }>,
})

/** What can be done with them; afterwards they are read again. */
export function useKeyChanges() {
  const queries = useQueryClient()
  const onSettled = () => queries.invalidateQueries({ queryKey: KEYS })
  return {
    make: useMutation({
      mutationFn: (body: NewKey) => api('post', '/api/v1/keys' as never, { body: body as never }) as Promise<MadeKey>,
      onSettled,
    }),
    rotate: useMutation({
      mutationFn: ({ id }: ApiKey) =>
        api('post', '/api/v1/keys/{id}/rotate' as never, { path: { id } as never }) as Promise<MadeKey>,
      onSettled,
    }),
    revoke: useMutation({
      mutationFn: ({ id }: ApiKey) => api('delete', '/api/v1/keys/{id}' as never, { path: { id } as never }),
      onSettled,
    }),
  }
}
