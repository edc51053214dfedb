/** The caller's API keys. */
import { queryOptions, useMutation, useQueryClient } from '@tanstack/react-query'
import { type Answer, api, type Body } from './client.ts'

export type ApiKey = Answer<'/api/v1/keys'>['data'][number]
export type MadeKey = Answer<'/api/v1/keys', 'post'>
export type NewKey = Body<'/api/v1/keys', 'post'>

const KEYS = ['keys', 'own'] as const

export const keysQuery = queryOptions({
  queryKey: KEYS,
  queryFn: ({ signal }) => api('get', '/api/v1/keys', { signal }),
})

/** What can be done with them; afterwards they are read again. */
export function useKeyChanges() {
  const queries = useQueryClient()
  const onSettled = () => queries.invalidateQueries({ queryKey: KEYS })
  return {
    make: useMutation({
      mutationFn: (body: NewKey) => api('post', '/api/v1/keys', { body }),
      onSettled,
    }),
    rotate: useMutation({
      mutationFn: ({ id }: ApiKey) => api('post', '/api/v1/keys/{key_id}/rotate', { path: { key_id: id } }),
      onSettled,
    }),
    revoke: useMutation({
      mutationFn: ({ id }: ApiKey) => api('delete', '/api/v1/keys/{key_id}', { path: { key_id: id } }),
      onSettled,
    }),
  }
}
