/** The models that the caller can call, with what they cost the caller: the markup is in the prices. */
import { queryOptions } from '@tanstack/react-query'
import { type Answer, api } from './client.ts'

type Categorized = Answer<'/api/v1/llm/models/categorized'>
type Provider = Categorized['platform_models'][number]
type Listed = Provider['models'][number]

export interface Model {
  id: string
  provider: string
  /** Dollars for a million tokens, as the caller pays them: to us, or on their own key to the provider. */
  input: Listed['cost_per_1m_input']
  output: Listed['cost_per_1m_output']
  /** Tokens. */
  context: Listed['context_length']
  paysOwnKey: boolean
}

export const modelsQuery = queryOptions({
  queryKey: ['configuration', 'models'],
  queryFn: async ({ signal }) => {
    const { platform_models: ours, byok_models: own } = await api('get', '/api/v1/llm/models/categorized', { signal })
    return { data: [...ours.flatMap((one) => modelsOf(one, false)), ...own.flatMap((one) => modelsOf(one, true))] }
  },
})

function modelsOf({ provider, models }: Provider, paysOwnKey: boolean): Model[] {
  return models.map(({ id, context_length: context, tier_pricing: { input, output } }) => ({
    ...{ id, provider, input, output, context, paysOwnKey },
  }))
}
