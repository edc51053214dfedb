/** What a query brought, once it is there; before, its place; instead, what the API said. */
import { Skeleton } from '@mantine/core'
import type { UseQueryResult } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import { Failure } from './failure.tsx'

interface Props<T> {
  query: UseQueryResult<T>
  /** In rem: about as high as what will be there, so that the page does not jump. */
  height?: number
  children: (data: T) => ReactNode
}

export function Loaded<T>({ query, height = 10, children }: Props<T>) {
  if (query.data !== undefined) return children(query.data)
  if (query.isError) return <Failure error={query.error} retry={() => void query.refetch()} />
  return <Skeleton h={`${height}rem`} radius="md" role="status" aria-label="Loading" />
}
