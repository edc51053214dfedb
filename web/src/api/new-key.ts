/** A key that was just made, until the window is closed: in memory only, for the samples that use it. */
import { useQuery, useQueryClient } from '@tanstack/react-query'

const KEY = ['new-key']

export function useNewKey(): string | null {
  const { data } = useQuery<string | null>({
    queryKey: KEY,
    queryFn: () => null,
    initialData: null,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: Number.POSITIVE_INFINITY,
  })
  return data
}

export function useRememberNewKey(): (key: string) => void {
  const queries = useQueryClient()
  return (key) => queries.setQueryData(KEY, key)
}
