/** Keys of providers that callers bring: a user's own, or an organization's. */
import { queryOptions, useMutation, useQueryClient } from '@tanstack/react-query'
import { type Answer, api } from './client.ts'

export type KeyScope = 'user' | 'organization'
export type ProviderKey = Answer<'/api/v1/llm/byok/keys'>['providers'][number]
export type KeyProvider = Answer<'/api/v1/llm/byok/providers'>['providers'][number]

const TOPIC = ['keys', 'provider-keys'] as const
const PATH = '/api/v1/llm/byok/keys/{provider}'

export function providerKeysQuery(scope: KeyScope) {
  return queryOptions({
    queryKey: [...TOPIC, scope],
    queryFn: ({ signal }) => api('get', '/api/v1/llm/byok/keys', { query: { scope }, signal }),
  })
}

export const keyProvidersQuery = queryOptions({
  queryKey: ['configuration', 'key-providers'],
  queryFn: ({ signal }) => api('get', '/api/v1/llm/byok/providers', { signal }),
})

/** What can be done with them; afterwards they are read again. */
export function useProviderKeyChanges(scope: KeyScope) {
  const queries = useQueryClient()
  const onSettled = () => queries.invalidateQueries({ queryKey: TOPIC })
  return {
    save: useMutation({
      mutationFn: (body: { provider: string; api_key: string }) =>
        api('post', '/api/v1/llm/byok/keys', { body: { ...body, scope } }),
      onSettled,
    }),
    remove: useMutation({
      mutationFn: (provider: string) => api('delete', PATH, { path: { provider }, query: { scope } }),
      onSettled,
    }),
    toggle: useMutation({
      mutationFn: ({ provider, enabled }: { provider: string; enabled: boolean }) =>
        api('post', `${PATH}/toggle`, { path: { provider }, body: { enabled, scope } }),
      onSettled,
    }),
    test: useMutation({
      mutationFn: (provider: string) => api('post', `${PATH}/test`, { path: { provider }, body: { scope } }),
      onSettled,
    }),
  }
}
