/** Who is signed in, and how one gets in and out. */
import { queryOptions, useSuspenseQuery } from '@tanstack/react-query'
import { type Answer, api } from './client.ts'

export type Me = Answer<'/api/v1/me'>

export const meQuery = queryOptions({
  queryKey: ['me'],
  queryFn: ({ signal }) => api('get', '/api/v1/me', { signal }),
  staleTime: Number.POSITIVE_INFINITY,
})

export const signInOptions = queryOptions({
  queryKey: ['sign-in-options'],
  queryFn: ({ signal }) => api('get', '/auth/options', { signal }),
  staleTime: Number.POSITIVE_INFINITY,
})

/** For what is inside the shell, which has asked already. */
export function useMe(): Me {
  return useSuspenseQuery(meQuery).data
}

/** The key is the credential of this one request. */
export function signInWithKey(key: string): Promise<unknown> {
  return api('post', '/auth/master-key', { headers: { Authorization: `Bearer ${key}` } })
}

/** @returns where to go afterwards: the identity provider's own end of the session, where it has one. */
export async function signOut(): Promise<string> {
  const { provider_logout_url } = await api('post', '/auth/logout')
  return provider_logout_url ?? '/app/sign-in'
}
