/** Models, their prices and what a call would cost, as LiteLLM's clients ask for them. */
import { expect, test } from 'vitest'
import { manage, newVirtualKey } from '../../support/management.ts'
import { useProduct } from '../../support/product.ts'
import { postChat } from '../../support/tollgate.ts'
import { chatAnswer } from '../../support/upstream-answers.ts'

const product = useProduct()
const look = async (path: string, key?: string) => {
  const answer = await manage(product.tollgate, `GET ${path}`, undefined, key)
  expect([path, answer.status]).toEqual([path, 200])
  return answer.value as { data: Record<string, unknown>[]; routes: unknown[] }
}

test('A key lists the models that it may call and no others, with prices and limits.', async () => {
  const all = await look('/model/info')
  const one = all.data.find(({ model_name }) => model_name === 'gpt-4o-mini')
  expect(one).toMatchObject({
    litellm_params: { model: 'openai/gpt-4o-mini' },
    model_info: {
      id: 'gpt-4o-mini-scripted',
      mode: 'chat',
      litellm_provider: 'openai',
      input_cost_per_token: 0.00000015,
      output_cost_per_token: 0.0000006,
    },
  })
  expect(await look('/v1/model/info?litellm_model_id=gpt-4o-mini-scripted')).toEqual({ data: [one] })
  expect((await manage(product.tollgate, 'GET /model/info?litellm_model_id=none')).status).toBe(404)
  const key = await newVirtualKey(product.tollgate, { models: ['exact'] })
  for (const path of ['/model/info', '/model_group/info']) expect((await look(path, key)).data).toHaveLength(1)
  expect((await look('/model_group/info?model_group=exact')).data).toMatchObject([
    { model_group: 'exact', providers: ['openai'], output_cost_per_token: 0.00002 },
  ])
  expect(JSON.stringify(all)).not.toContain('sk-')
})

test('The listed prices times the usage of a call are its charge, to the nano-dollar.', async () => {
  const usage = {
    prompt_tokens: 1_234,
    completion_tokens: 56,
    total_tokens: 1_290,
    prompt_tokens_details: { cached_tokens: 1_024 },
  }
  product.upstream.respond(chatAnswer({ model: 'gpt-4o-mini', usage }))
  const acme = await product.db.seedOrganization({ credits: 100, users: { alice: 50 } })
  for (const key of [await newVirtualKey(product.tollgate, {}), acme.keys.alice]) {
    const call = await postChat(product.tollgate, key, {
      model: 'gpt-4o-mini',
      messages: [{ role: 'user', content: 'Hello' }],
    })
    expect(call.status).toBe(200)
    const asked = { completion_response: { model: 'gpt-4o-mini', usage } }
    const told = await manage(product.tollgate, 'POST /spend/calculate', asked, key)
    expect(told.body).toBe(`{"cost":${call.headers.get('x-litellm-response-cost')}}`)
  }
  const estimate = { model: 'exact', input_tokens: 10, output_tokens: 100 }
  expect((await manage(product.tollgate, 'POST /cost/estimate', estimate)).value).toMatchObject({
    cost_per_request: 0.002,
  })
  expect((await manage(product.tollgate, 'POST /cost/estimate', { ...estimate, model: 'none' })).status).toBe(404)
  const listed = await newVirtualKey(product.tollgate, { models: ['gpt-4o'] })
  expect((await manage(product.tollgate, 'POST /cost/estimate', estimate, listed)).status).toBe(403)
  expect((await look('/routes')).routes).toContainEqual({ path: '/key/generate', methods: ['POST'] })
})

test('The operator sees which deployments serve, and a virtual key does not.', async () => {
  const health = (await manage(product.tollgate, 'GET /health')).value
  expect(health).toMatchObject({ healthy_count: 4, unhealthy_count: 0, unhealthy_endpoints: [] })
  expect(health.healthy_endpoints).toContainEqual({
    model: 'exact',
    model_id: 'exact-scripted',
    custom_llm_provider: 'openai',
  })
  const key = await newVirtualKey(product.tollgate, {})
  expect((await manage(product.tollgate, 'GET /health', undefined, key)).status).toBe(403)
})
