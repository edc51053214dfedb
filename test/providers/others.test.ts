/** Providers that are rows of a table: where a call of each goes, with which key, what is asked of it, and what it costs. */
import { beforeEach, describe, expect, test } from 'vitest'
import { PROVIDERS } from '../../providers/registry.ts'
import { loadConfig } from '../../src/config/load.ts'
import { useProduct } from '../support/product.ts'
import { MASTER_KEY, postChat } from '../support/tollgate.ts'
import { jsonAnswer } from '../support/upstream-answers.ts'

const RATES = {
  input_cost_per_token: 0.000001,
  output_cost_per_token: 0.000002,
  cache_read_input_token_cost: 0.0000001,
}

const product = useProduct((url) => {
  const host = new URL(url).origin
  const entry = (name: string, params: Record<string, unknown>) => ({
    model_name: name,
    litellm_params: { api_key: 'os.environ/SCRIPTED_API_KEY', ...RATES, ...params },
  })
  return {
    models: [
      entry('azure-dated', { model: 'azure/our-gpt', api_base: `${host}/`, api_version: '2024-10-21' }),
      entry('azure', {
        model: 'azure/our-gpt',
        api_base: host,
        azure_ad_token: 'eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl',
        api_key: undefined,
      }),
      entry('ollama', { model: 'ollama_chat/llama3:8b', api_base: host, api_key: undefined, num_ctx: 8192 }),
      entry('deepseek', { model: 'deepseek/deepseek-chat', api_base: url }),
      entry('mistral', { model: 'mistral/mistral-small-latest', api_base: url }),
      entry('fireworks', { model: 'fireworks_ai/llama-v3p1-8b-instruct', api_base: url }),
      entry('vectors', {
        model: 'azure/our-vectors',
        base_model: 'azure/text-embedding-3-small',
        api_base: host,
        api_version: '2024-10-21',
        output_cost_per_token: undefined,
      }),
    ],
  }
})

const MESSAGES = [{ role: 'user', content: 'Hello' }]
const answer = (usage: Record<string, unknown>) => ({
  id: 'x',
  object: 'chat.completion',
  created: 1,
  model: 'theirs',
  choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'Hello' } }],
  usage,
})

async function call(model: string, more: Record<string, unknown> = {}) {
  const response = await postChat(product.tollgate, MASTER_KEY, { model, messages: MESSAGES, max_tokens: 50, ...more })
  const sent = product.upstream.requests.at(-1)
  return { response, path: sent?.path, headers: sent?.headers ?? {}, body: sent?.json ?? {} }
}

beforeEach(() =>
  product.upstream.respond(jsonAnswer(answer({ prompt_tokens: 100, completion_tokens: 10, total_tokens: 110 }))),
)

describe('azure', () => {
  test('A deployment of Azure with a version is asked by its own path and its key.', async () => {
    const { response, path, headers } = await call('azure-dated')
    expect(response.status).toBe(200)
    expect(path).toBe('/openai/deployments/our-gpt/chat/completions?api-version=2024-10-21')
    expect(headers['api-key']).toBeTypeOf('string')
    expect(headers.authorization).toBeUndefined()
  })

  test('Without a version the API that needs none is asked, by a token where there is one.', async () => {
    const { path, headers, body } = await call('azure')
    expect(path).toBe('/openai/v1/chat/completions')
    expect(headers.authorization).toBe('Bearer eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl')
    expect(headers['api-key']).toBeUndefined()
    expect(body.model).toBe('our-gpt')
  })

  test('Embeddings go to the path of their deployment.', async () => {
    product.upstream.respond(
      jsonAnswer({
        object: 'list',
        model: 'theirs',
        data: [{ object: 'embedding', index: 0, embedding: [0.5] }],
        usage: { prompt_tokens: 3, total_tokens: 3 },
      }),
    )
    const response = await fetch(`${product.tollgate.url}/v1/embeddings`, {
      method: 'POST',
      headers: { authorization: `Bearer ${MASTER_KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'vectors', input: 'Hello' }),
    })
    expect([response.status, product.upstream.requests.at(-1)?.path]).toEqual([
      200,
      '/openai/deployments/our-vectors/embeddings?api-version=2024-10-21',
    ])
    // 3 tokens at a millionth of a dollar.
    expect(response.headers.get('x-litellm-response-cost')).toBe('0.000003')
  })
})

test('A server of Ollama is asked below /v1, without a key, with what the operator set for it.', async () => {
  const { path, headers, body } = await call('ollama')
  expect([path, headers.authorization]).toEqual(['/v1/chat/completions', undefined])
  expect(body).toMatchObject({ model: 'llama3:8b', num_ctx: 8192 })
})

test('Tokens that DeepSeek read from its cache are charged as such.', async () => {
  product.upstream.respond(
    jsonAnswer(
      answer({
        prompt_tokens: 100,
        completion_tokens: 10,
        total_tokens: 110,
        prompt_cache_hit_tokens: 60,
        prompt_cache_miss_tokens: 40,
      }),
    ),
  )
  const { response } = await call('deepseek')
  // 40 x 1 + 60 x 0.1 + 10 x 2 millionths of a dollar.
  expect(response.headers.get('x-litellm-response-cost')).toBe('0.000066')
})

test('Mistral, which refuses the question, is not asked for the usage of a stream.', async () => {
  product.upstream.respond({
    headers: { 'content-type': 'text/event-stream' },
    frames: [
      `data: ${JSON.stringify({ id: 'x', object: 'chat.completion.chunk', created: 1, model: 'theirs', choices: [{ index: 0, delta: { role: 'assistant', content: 'Hello' }, finish_reason: 'stop' }], usage: { prompt_tokens: 100, completion_tokens: 10, total_tokens: 110 } })}\n\n`,
      'data: [DONE]\n\n',
    ],
  })
  const { response, body } = await call('mistral', { stream: true })
  expect(new Set(Object.keys(body))).toEqual(new Set(['max_tokens', 'messages', 'model', 'stream']))
  const callId = response.headers.get('x-litellm-call-id')
  const booked = await fetch(`${product.tollgate.url}/v1/calls/${callId}`, {
    headers: { authorization: `Bearer ${MASTER_KEY}` },
  })
  // 100 x 1 + 10 x 2 millionths of a dollar, in credits of a thousandth.
  expect(await booked.json()).toMatchObject({ status: 'settled', credits: '0.12' })
})

test('A short name of Fireworks is sent in full.', async () => {
  expect((await call('fireworks')).body.model).toBe('accounts/fireworks/models/llama-v3p1-8b-instruct')
})

describe('where they stand', () => {
  const only = (params: string, env: Record<string, string> = {}) => {
    const text = `model_list: [{model_name: m, litellm_params: {${params}}}]`
    const { config } = loadConfig(text, 'c', env, { embedded: true, providers: PROVIDERS })
    return config?.deployments[0]?.apiBase ?? config?.leftOut[0]?.why
  }

  test.each([
    ['model: ollama/llama3', {}, 'http://localhost:11434/v1'],
    ['model: ollama/llama3', { OLLAMA_API_BASE: 'http://gpu:11434/' }, 'http://gpu:11434'],
    ['model: hosted_vllm/x, api_base: "http://gpu:8000/v1"', {}, 'http://gpu:8000/v1'],
    ['model: azure/x', {}, 'no api_base says where it is served'],
    ['model: azure/x', { AZURE_API_BASE: 'https://a.openai.azure.com' }, 'https://a.openai.azure.com'],
    [
      'model: azure/x',
      { AZURE_API_BASE: 'https://a.openai.azure.com', AZURE_API_VERSION: '2024-10-21' },
      'https://a.openai.azure.com?api-version=2024-10-21',
    ],
  ])('A deployment {%s} with %j stands at %s.', (params, env, expected) => {
    expect(only(params, env)).toBe(expected)
  })

  test.each([
    ['nvidia_nim/meta/llama-3.3-70b-instruct', 'https://integrate.api.nvidia.com/v1', 'NVIDIA_NIM_API_KEY'],
    ['sambanova/Meta-Llama-3.3-70B-Instruct', 'https://api.sambanova.ai/v1', 'SAMBANOVA_API_KEY'],
    ['zai/glm-4.6', 'https://api.z.ai/api/paas/v4', 'ZAI_API_KEY'],
    ['novita/deepseek/deepseek-v3-0324', 'https://api.novita.ai/openai/v1', 'NOVITA_API_KEY'],
    ['friendliai/llama-3.3-70b', 'https://api.friendli.ai/serverless/v1', 'FRIENDLI_TOKEN'],
    ['volcengine/doubao-seed', 'https://ark.cn-beijing.volces.com/api/v3', 'VOLCENGINE_API_KEY'],
    ['meta_llama/Llama-4-Scout', 'https://api.llama.com/compat/v1', 'LLAMA_API_KEY'],
  ])('A request to %s goes to %s with the key of %s.', (model, base, variable) => {
    const text = `model_list: [{model_name: m, litellm_params: {model: "${model}"}}]`
    const { config } = loadConfig(text, 'c', { [variable]: 'k-123' }, { embedded: true, providers: PROVIDERS })
    const [deployment] = config?.deployments ?? []
    expect(deployment).toMatchObject({ apiKey: 'k-123', apiKeySource: variable, apiBase: null })
    expect(PROVIDERS[deployment?.provider ?? '']?.baseUrl).toBe(base)
  })

  test('The key of an Azure resource that was not written for a deployment is not sent to it.', () => {
    const text =
      'model_list: [{model_name: m, litellm_params: {model: azure/x, api_base: "https://b.openai.azure.com"}}]'
    const { config } = loadConfig(text, 'c', { AZURE_API_KEY: 'k' }, { embedded: true, providers: PROVIDERS })
    expect(config?.deployments[0]).toMatchObject({ apiKey: null, trustedHost: false })
  })
})
