/** x-litellm-model-api-base names a public host or what the operator says, never a place in the operator's network. */
import { expect, test } from 'vitest'
import { PROVIDERS } from '../../providers/registry.ts'
import { loadConfig } from '../../src/config/load.ts'
import { useProduct } from '../support/product.ts'
import { MASTER_KEY, modelOn, postChat } from '../support/tollgate.ts'
import { chat } from '../support/upstream-answers.ts'

const product = useProduct((url) => ({
  models: [
    {
      ...modelOn(url, 'gpt-4o-mini'),
      model_name: 'told',
      model_info: { id: 'told', shown_api_base: 'https://models.example/v1/' },
    },
    { model_name: 'canned', litellm_params: { model: 'openai/gpt-4o-mini', mock_response: 'Hello' } },
  ],
}))

test.each([
  ['gpt-4o-mini', null],
  ['told', 'https://models.example/v1'],
  ['canned', 'mock'],
])('Callers of %s see in JSON and in a stream that its API base is %s.', async (model, shown) => {
  const { tollgate, upstream } = product
  upstream.respond(chat())
  for (const stream of [false, true]) {
    const answer = await postChat(tollgate, MASTER_KEY, {
      model,
      stream,
      messages: [{ role: 'user', content: 'Hello' }],
    })
    expect([answer.status, answer.headers.get('x-litellm-model-api-base')]).toEqual([200, shown])
    expect(JSON.stringify([...answer.headers])).not.toContain('127.0.0.1')
  }
})

test.each([
  ['', null],
  ['api_base: "https://api.openai.com/v1"', 'https://api.openai.com'],
  ['api_base: "https://eu.api.openai.com/v1/projects/42"', 'https://eu.api.openai.com'],
  // Another provider's, by OpenAI's dialect.
  ['api_base: "https://api.groq.com/openai/v1"', 'https://api.groq.com'],
  ['api_base: "http://api.openai.com/v1"', null],
  ['api_base: "https://api.openai.com.evil.example/v1"', null],
  ['api_base: "https://notopenai.com/v1"', null],
  ['api_base: "http://10.1.2.3:8000/v1"', null],
  ['api_base: "http://vllm.internal/v1"', null],
  ['api_base: "http://127.0.0.1:1/v1"', null],
])('Of { %s } callers see %s.', (params, shown) => {
  const text = `model_list:\n  - {model_name: a, litellm_params: {model: openai/gpt-4o${params && `, ${params}`}}}\n`
  const { config } = loadConfig(text, 'config.yaml', {}, { embedded: true, providers: PROVIDERS })
  expect(config?.deployments[0]?.shownApiBase).toBe(shown)
})

test.each(['https://user:secret@host/v1', 'https://host/v1?key=1', 'not a URL'])(
  'What the operator writes is a plain URL: %s stops the start.',
  (written) => {
    const text = `model_list:\n  - {model_name: a, litellm_params: {model: openai/gpt-4o}, model_info: {shown_api_base: "${written}"}}\n`
    const { config, problems } = loadConfig(text, 'config.yaml', {}, { embedded: true, providers: PROVIDERS })
    expect(config).toBeNull()
    expect(problems).toContainEqual(expect.objectContaining({ severity: 'error' }))
  },
)
