/** Where each provider is asked for embeddings, and what is made of bytes in another form than the caller's. */
import { describe, expect, test } from 'vitest'
import type { EmbeddingsCapability, EmbeddingsContext } from '../../providers/embeddings.ts'
import { google } from '../../providers/google.ts'
import { huggingface } from '../../providers/huggingface.ts'
import { kindOfName } from '../../providers/model-kind.ts'
import { openai } from '../../providers/openai.ts'
import { openrouter } from '../../providers/openrouter.ts'
import { readEmbeddingsRequest } from '../../src/endpoints/embeddings/read-request.ts'
import { parseJsonObject } from '../../src/http/json-object.ts'

function prepared({ embeddings }: { embeddings?: EmbeddingsCapability }, model: string, apiBase: string | null = null) {
  const request = readEmbeddingsRequest(parseJsonObject(Buffer.from('{"model":"asked","input":["a","b"]}')))
  const account = { apiKey: 'k', apiBase, organization: null, extraHeaders: {} }
  const sent = embeddings!.prepare({ ...account, request, model, defaults: {}, drop: [], dropAt: [], maxPrice: null })
  return { to: `${sent.origin}${sent.path}`, body: JSON.parse(sent.body.toString()) as unknown, headers: sent.headers }
}

const body = (model: string) => ({ model, input: ['a', 'b'] })

test.each([
  [openai, 'text-embedding-3-small', null, 'https://api.openai.com/v1/embeddings', body('text-embedding-3-small')],
  [
    openrouter,
    'qwen/qwen3-embedding-8b',
    null,
    'https://openrouter.ai/api/v1/embeddings',
    body('qwen/qwen3-embedding-8b'),
  ],
  [
    google,
    'gemini-embedding-001',
    null,
    'https://generativelanguage.googleapis.com/v1beta/models/gemini-embedding-001:batchEmbedContents',
    {
      requests: ['a', 'b'].map((text) => ({ model: 'models/gemini-embedding-001', content: { parts: [{ text }] } })),
    },
  ],
  [
    huggingface,
    'BAAI/bge-m3',
    null,
    'https://router.huggingface.co/hf-inference/models/BAAI/bge-m3/pipeline/feature-extraction',
    { inputs: ['a', 'b'] },
  ],
  [
    huggingface,
    'Qwen/Qwen3-Embedding-8B:nebius',
    null,
    'https://router.huggingface.co/nebius/v1/embeddings',
    body('Qwen/Qwen3-Embedding-8B'),
  ],
  [huggingface, 'BAAI/bge-m3', 'http://127.0.0.1:8080/v1', 'http://127.0.0.1:8080/v1/embeddings', body('BAAI/bge-m3')],
] as const)(
  'Embeddings are asked for at the place of the provider: %o, %s, %s.',
  (provider, model, apiBase, to, sent) => {
    const made = prepared(provider, model, apiBase)
    expect([made.to, made.body]).toEqual([to, sent])
    expect(made.headers.authorization ?? made.headers['x-goog-api-key']).toMatch(/^(?:Bearer )?k$/)
  },
)

describe('A response', () => {
  const floats = [0.5, -0.25]
  const base64 = Buffer.from(new Float32Array(floats).buffer).toString('base64')
  const context = (encoding: EmbeddingsContext['encoding']) => ({ asked: 'asked', model: 'm', encoding })
  const bodyOf = (
    { embeddings }: { embeddings?: EmbeddingsCapability },
    json: unknown,
    encoding: 'float' | 'base64',
  ) => {
    const read = embeddings!.readResponse(Buffer.from(JSON.stringify(json)), context(encoding))
    if (read === null || 'kind' in read) return read
    return JSON.parse(read.body('0.1', { prompt_tokens: 1, total_tokens: 1 }).toString()) as unknown
  }
  const list = (embedding: unknown) => ({ object: 'list', data: [{ object: 'embedding', index: 0, embedding }] })
  const shown = (embedding: unknown) => ({
    ...list(embedding),
    model: 'asked',
    usage: { prompt_tokens: 1, total_tokens: 1, cost: 0.1 },
  })

  test.each([
    ['lists where base64 was asked for', openai, { ...list(floats), model: 'm' }, 'base64', base64],
    ['base64 where lists were asked for', openai, { ...list(base64), model: 'm' }, 'float', floats],
    ['what HuggingFace extracts', huggingface, [floats], 'float', floats],
    ['what HuggingFace extracts, as base64', huggingface, [floats], 'base64', base64],
    ['what Google embeds, as base64', google, { embeddings: [{ values: floats }] }, 'base64', base64],
  ] as const)(
    'A response to a request for embeddings is shown in the form that was asked for: %s.',
    (_, provider, json, encoding, expected) => {
      expect(bodyOf(provider, json, encoding)).toEqual(shown(expected))
    },
  )

  test('Embeddings in the form that was asked for keep their bytes, but for the usage and the name of the model.', () => {
    const text =
      '{ "object":"list", "data" : [{"index":0,"embedding":[0.50, -2.5e-1]}],"model":"m", "usage":{"prompt_tokens":2,"total_tokens":2, "cost_details":{}} }'
    const read = openai.embeddings?.readResponse(Buffer.from(text), context('float'))
    if (read === null || read === undefined || 'kind' in read) throw new Error('not read')
    expect(read.reading.usage?.input).toBe(2)
    expect(read.body('0.1', {}).toString()).toBe(
      '{ "object":"list", "data" : [{"index":0,"embedding":[0.50, -2.5e-1]}],"model":"asked", "usage":{"prompt_tokens":2,"total_tokens":2,"cost":0.1} }',
    )
  })

  test.each([
    ['of tokens instead of texts', huggingface, [[floats]]],
    ['without embeddings', google, { embeddings: [{}] }],
    ['of another kind', openai, { choices: [] }],
    ['that is a text', huggingface, 'loading'],
  ])('A response without embeddings does not count as one: %s.', (_, provider, json) => {
    expect(bodyOf(provider, json, 'float')).toBeNull()
  })

  test.each([
    ['Google', google, { error: { code: 429, status: 'RESOURCE_EXHAUSTED', message: 'Slow down' } }],
    ['OpenAI', openai, { error: { code: 'rate_limit_exceeded', message: 'Slow down' } }],
  ])('A response with status 200 that holds an error is read as an error: %s.', (_, provider, json) => {
    expect(bodyOf(provider, json, 'float')).toMatchObject({ kind: 'rate_limit' })
  })
})

test.each([
  ['text-embedding-3-large', 'embedding'],
  ['gemini-embedding-2', 'embedding'],
  ['sentence-transformers/all-MiniLM-L6-v2', 'embedding'],
  ['BAAI/bge-m3', 'embedding'],
  ['intfloat/e5-mistral-7b-instruct', 'embedding'],
  ['nomic-embed-text', 'embedding'],
  ['gpt-3.5-turbo-instruct', 'completion'],
  ['openai/gpt-3.5-turbo-instruct', 'completion'],
  ['davinci-002', 'completion'],
  ['ft:babbage-002:acme::x', 'completion'],
  ['gpt-4o-mini', 'chat'],
  ['meta-llama/llama-3.1-8b-instruct', 'chat'],
  ['gemini-2.5-flash', 'chat'],
])('By its name %s is a model for %s.', (name, kind) => {
  expect(kindOfName(name)).toBe(kind)
})
