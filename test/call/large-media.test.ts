/** A large image passes through as it came: to every dialect, on every attempt, and bound to its Idempotency-Key as it was sent. */
import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { png, pngChunk } from '../providers/media/build.ts'
import { rowOfCall } from '../support/call-books.ts'
import { useProduct } from '../support/product.ts'
import { another, modelOn, postChat } from '../support/tollgate.ts'
import { chat, errorAnswer, jsonAnswer } from '../support/upstream-answers.ts'

const product = useProduct((url) => ({
  models: [
    another(modelOn(url, 'gpt-4o-mini')),
    modelOn(url, 'claude', { model: 'anthropic/claude-haiku-4-5' }),
    modelOn(url, 'flash', { model: 'gemini/gemini-2.5-flash' }),
  ],
  router_settings: { num_retries: 1, disable_cooldowns: true },
}))

const BYTES = png(1_024, 1_024, { between: [pngChunk('tEXt', randomBytes(3_000_000))] })
const DATA = BYTES.toString('base64')
const image = (data: string) => ({ type: 'image_url', image_url: { url: `data:image/png;base64,${data}` } })
const body = (model: string, data = DATA) =>
  JSON.stringify({ max_tokens: 9, messages: [{ role: 'user', content: [image(data)] }], model })

async function alice(): Promise<string> {
  product.upstream.requests.length = 0
  return (await product.db.seedOrganization({ credits: 1_000, users: { alice: 1_000 } })).keys.alice
}

const last = () => product.upstream.requests.at(-1)!

test('OpenAI gets the bytes of the caller, but for the members that are ours.', async () => {
  const key = await alice()
  product.upstream.respond(chat())
  const answer = await postChat(product.tollgate, key, body('gpt-4o-mini'))
  expect(answer.status).toBe(200)
  const sent = body('gpt-4o-mini').replace(/\}$/, ',"max_completion_tokens":9}')
  expect(last().body.equals(Buffer.from(sent))).toBe(true)
  expect(last().headers['content-length']).toBe(String(last().body.length))
})

test.for([
  {
    model: 'claude',
    answer: {
      type: 'message',
      content: [{ type: 'text', text: 'a' }],
      stop_reason: 'end_turn',
      usage: { input_tokens: 1_400, output_tokens: 2 },
    },
    sent: {
      messages: [{ content: [{ type: 'image', source: { type: 'base64', media_type: 'image/png', data: DATA } }] }],
    },
    // $1 and $5 a million, 50 % on top.
    charge: '2.115000',
  },
  {
    model: 'flash',
    answer: {
      candidates: [{ index: 0, content: { role: 'model', parts: [{ text: 'a' }] }, finishReason: 'STOP' }],
      usageMetadata: { promptTokenCount: 1_040, candidatesTokenCount: 2, totalTokenCount: 1_042 },
    },
    sent: { contents: [{ parts: [{ inlineData: { mimeType: 'image/png', data: DATA } }] }] },
    // $0.30 and $2.50 a million, 50 % on top.
    charge: '0.475500',
  },
])('$model is sent the whole image, and its statement is charged.', async ({ model, answer, sent, charge }) => {
  const key = await alice()
  product.upstream.respond(jsonAnswer(answer))
  const { status, headers } = await postChat(product.tollgate, key, body(model))
  expect(status).toBe(200)
  expect(last().json).toMatchObject(sent)
  const row = await rowOfCall(product.db.pool, headers.get('x-litellm-call-id')!)
  expect(row).toMatchObject({ credits_used: charge, provenance: 'provider_usage' })
})

test('A second attempt sends the whole image once more.', async () => {
  const key = await alice()
  let tries = 0
  product.upstream.respond((request) => {
    tries += 1
    return tries === 1 ? errorAnswer(500, { message: 'x' }) : (chat() as (r: typeof request) => never)(request)
  })
  const answer = await postChat(product.tollgate, key, body('gpt-4o-mini'))
  expect(answer.status).toBe(200)
  const [first, second] = product.upstream.requests
  expect(second?.body.equals(first!.body)).toBe(true)
  expect(second!.body.includes(DATA)).toBe(true)
})

test('An Idempotency-Key is bound to every byte of the image.', async () => {
  const key = await alice()
  product.upstream.respond(chat())
  const headers = { 'idempotency-key': 'large' }
  const once = await postChat(product.tollgate, key, body('gpt-4o-mini'), { headers })
  const again = await postChat(product.tollgate, key, body('gpt-4o-mini'), { headers })
  expect([again.status, again.body]).toEqual([200, once.body])
  expect(product.upstream.requests).toHaveLength(1)
  const letter = DATA[2_000_000] === 'A' ? 'B' : 'A'
  const other = `${DATA.slice(0, 2_000_000)}${letter}${DATA.slice(2_000_001)}`
  const refused = await postChat(product.tollgate, key, body('gpt-4o-mini', other), { headers })
  expect([refused.status, refused.json()]).toMatchObject([409, { error: { code: 'idempotency_key_reused' } }])
})
