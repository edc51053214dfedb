/** Who is signed in, and how one gets in and out. */
import { queryOptions, useSuspenseQuery } from '@tanstack/react-query'
import { api } from './client.ts'

export interface Me {
  user_id: string
  email: string | null
  name: string | null
  role: string
  permissions: readonly string[]
  organization: { id: string; name: string }
  organizations: readonly { id: string; name: string; role: string }[]
}

export interface SignInOptions {
  oidc: boolean
  master_key: boolean
  one_time_link: boolean
}

export const meQuery = queryOptions({
  queryKey: ['me'],
  queryFn: ({ signal }) => api('get', '/api/v1/me' as never, { signal }) as Promise<Me>,
  staleTime: Number.POSITIVE_INFINITY,
})

export const signInOptions = queryOptions({
  queryKey: ['sign-in-options'],
  queryFn: ({ signal }) => api('get', '/auth/options' as never, { signal }) as Promise<SignInOptions>,
  staleTime: Number.POSITIVE_INFINITY,
})

/** For what is inside the shell, which has asked already. */
export function useMe(): Me {
  return useSuspenseQuery(meQuery).data
}

export function signInWithKey(key: string): Promise<unknown> {
  return api('post', '/auth/master-key' as never, { body: { key } as never })
}

/** @returns where to go afterwards: the identity provider's own end of the session, where it has one. */
export async function signOut(): Promise<string> {
  const { provider_logout_url } = await api('post', '/auth/logout')
  return provider_logout_url ?? '/app/sign-in'
}
