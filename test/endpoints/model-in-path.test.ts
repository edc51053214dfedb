/** The model in the path, as Azure's clients and OpenAI's oldest ask: the path decides, whatever the body names. */
import OpenAI, { AzureOpenAI, toFile } from 'openai'
import { beforeEach, describe, expect, test } from 'vitest'
import { rowOfCall } from '../support/call-books.ts'
import { expectRefusal } from '../support/error-shape.ts'
import { useProduct } from '../support/product.ts'
import { modelOn, postChat } from '../support/tollgate.ts'
import { type Answer, chatAnswer, chatStream, jsonAnswer } from '../support/upstream-answers.ts'

const PRICE = { input_cost_per_token: 0, output_cost_per_token: 0.00002 }

const product = useProduct((url) => ({
  models: [
    modelOn(url, 'one', PRICE),
    modelOn(url, 'other', PRICE),
    modelOn(url, 'acme/chat', { ...PRICE, model: 'openai/slashed' }),
    modelOn(url, 'vectors', { model: 'openai/text-embedding-3-small' }),
    modelOn(url, 'picture', { model: 'openai/gpt-image-1' }),
  ],
}))

let key = ''
beforeEach(async () => {
  const { keys } = await product.db.seedOrganization({ credits: 1_000, users: { alice: 1_000 } })
  key = keys.alice
  product.upstream.requests.length = 0
})

const messages = [{ role: 'user' as const, content: 'Hello' }]
const BODY = { model: 'other', max_tokens: 10, messages }
const sent = () => product.upstream.requests.map(({ path, json }) => [path, json?.model])
const azure = (deployment?: string) =>
  new AzureOpenAI({
    endpoint: product.tollgate.url,
    apiKey: key,
    apiVersion: '2025-04-01-preview',
    maxRetries: 0,
    ...(deployment === undefined ? {} : { deployment }),
  })

function answering(answer: Answer) {
  product.upstream.respond(answer)
}

describe("Azure's client", () => {
  test('A chat goes to the model in the path, and is charged as that.', async () => {
    answering(chatAnswer({ model: 'exact' }))
    const { data, response } = await azure('one')
      .chat.completions.create({ ...BODY, model: 'one' })
      .withResponse()
    expect(data.choices[0]?.message.content).toBeTruthy()
    expect(sent()).toEqual([['/v1/chat/completions', 'one']])
    const row = await rowOfCall(product.db.pool, response.headers.get('x-litellm-call-id'))
    expect(row).toMatchObject({ credits_used: '0.150000', details: { model: 'one' } })
  })

  test('A chat is streamed.', async () => {
    answering(chatStream({ model: 'exact' }))
    const stream = await azure().chat.completions.create({ ...BODY, model: 'one', stream: true })
    let text = ''
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
    expect(text).not.toBe('')
    expect(sent()).toEqual([['/v1/chat/completions', 'one']])
  })

  test('Texts are embedded, and images made and edited.', async () => {
    const embedding = Buffer.from(new Float32Array([1]).buffer).toString('base64')
    const usage = { prompt_tokens: 1, total_tokens: 1 }
    answering(jsonAnswer({ object: 'list', data: [{ object: 'embedding', index: 0, embedding }], usage }))
    expect((await azure().embeddings.create({ model: 'vectors', input: 'Hello' })).data).toHaveLength(1)
    const counted = { input_tokens: 10, output_tokens: 20, total_tokens: 30 }
    answering(jsonAnswer({ created: 1, data: [{ b64_json: 'iVBORw0KGgo=' }], usage: counted }))
    expect((await azure().images.generate({ model: 'picture', prompt: 'A hat' })).data).toHaveLength(1)
    const image = await toFile(Buffer.from('PNG'), 'hat.png', { type: 'image/png' })
    expect((await azure('picture').images.edit({ model: 'picture', prompt: 'A hat', image })).data).toHaveLength(1)
    expect(product.upstream.requests.map(({ path }) => path)).toEqual([
      '/v1/embeddings',
      '/v1/images/generations',
      '/v1/images/edits',
    ])
    expect(product.upstream.requests[2]?.body.toString()).toContain('gpt-image-1')
  })
})

test.each([
  '/engines/one/chat/completions',
  '/openai/deployments/one/chat/completions',
  '//engines/%6fne/chat/completions/',
])('The model in %s comes before the one in the body.', async (path) => {
  answering(chatAnswer({ model: 'exact' }))
  expect((await postChat(product.tollgate, key, BODY, { path })).status).toBe(200)
  const { model: _, ...nameless } = BODY
  expect((await postChat(product.tollgate, key, nameless, { path })).status).toBe(200)
  expect(sent().map(([, model]) => model)).toEqual(['one', 'one'])
})

test("OpenAI's client completes a text at an engine.", async () => {
  answering(chatAnswer({ model: 'exact' }))
  const client = new OpenAI({ baseURL: `${product.tollgate.url}/engines/one`, apiKey: key, maxRetries: 0 })
  const { choices } = await client.completions.create({ model: 'other', prompt: 'Hello', max_tokens: 5 })
  expect(choices[0]?.text).not.toBe('')
  expect(sent().map(([, model]) => model)).toEqual(['one'])
})

test.each(['acme/chat', 'acme%2Fchat'])('A name may hold slashes: %s.', async (model) => {
  answering(chatAnswer({ model: 'exact' }))
  expect((await postChat(product.tollgate, key, BODY, { path: `/engines/${model}/chat/completions` })).status).toBe(200)
  expect(sent()).toEqual([['/v1/chat/completions', 'slashed']])
})

test('A model that does not exist is refused by its name, and another route is not served.', async () => {
  const missing = await postChat(product.tollgate, key, BODY, { path: '/engines/nothing/chat/completions' })
  expectRefusal(missing, { status: 404, code: 'model_not_found', param: 'model' })
  expect((await postChat(product.tollgate, key, BODY, { path: '/engines/one/songs' })).status).toBe(404)
  expect((await postChat(product.tollgate, null, BODY, { path: '/engines/one/chat/completions' })).status).toBe(401)
})

test('An Idempotency-Key is bound to the model in the path.', async () => {
  answering(chatAnswer({ model: 'exact' }))
  const headers = { 'idempotency-key': 'one-key' }
  const ask = (model: string) =>
    postChat(product.tollgate, key, BODY, { path: `/engines/${model}/chat/completions`, headers })
  const [first, again, another] = [await ask('one'), await ask('one'), await ask('other')]
  expect([first.status, again.status]).toEqual([200, 200])
  expect(again.headers.get('x-litellm-call-id')).toBe(first.headers.get('x-litellm-call-id'))
  expect(another.status).toBe(409)
  expect(sent()).toHaveLength(1)
})
