/** The models that the caller can call, with what they cost the caller. */
import { queryOptions } from '@tanstack/react-query'
import { type Answer, api } from './client.ts'

export type Models = Answer<'/api/v1/llm/models'>
export type Model = Models['data'][number]

export const modelsQuery = queryOptions({
  queryKey: ['configuration', 'models'],
  queryFn: ({ signal }) => api('get', '/api/v1/llm/models', { signal }),
})
