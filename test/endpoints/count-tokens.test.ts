/** Counting tokens: as Anthropic's and OpenAI's clients ask, and as LiteLLM's callers do; and the list of models in Anthropic's form. */
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { expect, test } from 'vitest'
import { rowsOf } from '../support/call-books.ts'
import { useProduct } from '../support/product.ts'
import { modelOn } from '../support/tollgate.ts'

const MODEL = 'claude-sonnet-4-5'
const product = useProduct((url) => ({
  models: [modelOn(url, MODEL, { model: `anthropic/${MODEL}` }), modelOn(url, 'gpt', { model: 'openai/gpt-4o-mini' })],
}))

async function payer(credits: number) {
  const { id, keys } = await product.db.seedOrganization({ credits, users: { alice: credits } })
  const client = new Anthropic({ baseURL: product.tollgate.url, apiKey: keys.alice, maxRetries: 0 })
  return { orgId: id, client, key: keys.alice }
}

const TEXT = 'The quick brown fox jumps over the lazy dog. '

test('Tokens are counted, many at once, for a caller without credits; no provider is called and nothing is booked.', async () => {
  const { client, orgId } = await payer(0)
  const count = (times: number, model = MODEL) =>
    client.messages.countTokens({ model, messages: [{ role: 'user', content: TEXT.repeat(times) }] })
  const counted = await Promise.all(Array.from({ length: 33 }, (_, index) => count(index + 1)))
  // o200k_base has ten tokens for it; Claude 4.5 makes 108 of a hundred, and frames the message.
  expect(counted.map(({ input_tokens }) => input_tokens).slice(0, 3)).toEqual([26, 37, 48])
  expect((await count(1, 'gpt')).input_tokens).toBe(18)
  expect(product.upstream.requests).toEqual([])
  expect(await rowsOf(product.db.pool, orgId)).toEqual([])
})

test('A megabyte and more is counted for a caller without credits too.', async () => {
  const { client } = await payer(0)
  const content = TEXT.repeat(30_000)
  const { input_tokens } = await client.messages.countTokens({ model: MODEL, messages: [{ role: 'user', content }] })
  expect(input_tokens).toBeGreaterThan(300_000)
})

test('What can’t be counted is refused in Anthropic’s envelope.', async () => {
  const { client } = await payer(0)
  await expect(client.messages.countTokens({ model: 'nobody', messages: [] })).rejects.toMatchObject({
    status: 400,
    error: { type: 'error', error: { type: 'invalid_request_error', param: 'messages' } },
  })
  const messages = [{ role: 'user' as const, content: 'Hi' }]
  await expect(client.messages.countTokens({ model: 'nobody', messages })).rejects.toMatchObject({
    status: 404,
    error: { type: 'error', error: { type: 'not_found_error' } },
  })
})

test('Models are listed in Anthropic’s form for its client, in OpenAI’s for others.', async () => {
  const { client, key } = await payer(0)
  const { data, has_more } = await client.models.list({ limit: 1_000 })
  expect(has_more).toBe(false)
  expect(data.map(({ type, id, display_name }) => [type, id, display_name])).toContainEqual(['model', MODEL, MODEL])
  const response = await fetch(`${product.tollgate.url}/v1/models`, { headers: { authorization: `Bearer ${key}` } })
  expect(await response.json()).toMatchObject({ object: 'list' })
})

/** Eleven of the text, and OpenAI's frame of a message. A model of chats gets a prompt as a message. */
const TOKENS = 18

test('The input of a response is counted as OpenAI’s client asks for it, for a caller without credits.', async () => {
  const { key, orgId } = await payer(0)
  const client = new OpenAI({ baseURL: `${product.tollgate.url}/v1`, apiKey: key, maxRetries: 0 })
  const counted = await client.responses.inputTokens.count({ model: 'gpt', input: TEXT })
  expect(counted).toEqual({ object: 'response.input_tokens', input_tokens: TOKENS })
  expect(await rowsOf(product.db.pool, orgId)).toEqual([])
})

test.each<[string, Record<string, unknown>, number]>([
  ['messages', { messages: [{ role: 'user', content: TEXT }] }, TOKENS],
  ['a prompt', { prompt: TEXT }, TOKENS],
])('LiteLLM’s token counter counts %s, and names the model and the tokenizer.', async (_, asked, tokens) => {
  const { key } = await payer(0)
  const response = await fetch(`${product.tollgate.url}/utils/token_counter`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'gpt', ...asked }),
  })
  expect([response.status, await response.json()]).toEqual([
    200,
    {
      total_tokens: tokens,
      request_model: 'gpt',
      model_used: 'gpt-4o-mini',
      tokenizer_type: 'o200k_base',
      error: false,
    },
  ])
})
