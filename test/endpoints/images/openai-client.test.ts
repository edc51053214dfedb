/**
 * OpenAI's own client on the routes of images: what reaches the provider, what the client makes of the response, what is booked.
 * gpt-image-1: $5 a million tokens of text, $10 of images that are sent, $40 of images that are made, and half of it on top.
 */
import OpenAI, { toFile } from 'openai'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { chargesOf } from '../../support/call-books.ts'
import { lastRequestOf, seedPayer } from '../../support/openai-payer.ts'
import { useProduct } from '../../support/product.ts'
import { tellApart } from '../../support/tell-apart.ts'
import { modelOn, postChat } from '../../support/tollgate.ts'
import { type Answer, errorAnswer, type Handler, jsonAnswer, rawStream } from '../../support/upstream-answers.ts'

type Json = Record<string, unknown>

const BY_IMAGE = { output_cost_per_image: 0.04 }

const product = useProduct((url) => ({
  models: [
    modelOn(url, 'gpt-image-1'),
    modelOn(url, 'later', { model: 'openai/gpt-image-2' }),
    modelOn(url, 'dall-e-3', { ...BY_IMAGE }),
    modelOn(url, 'unpriced', { model: 'openai/dall-e-2' }),
    modelOn(url, 'grok', { model: 'xai/grok-imagine-image', output_cost_per_image: 0.02 }),
    modelOn(url, 'drawn', { model: 'openai/gpt-image-1', mock_response: 'x' }),
    modelOn(url, 'older', { model: 'openai/dall-e-3', input_cost_per_image: 0.016 }),
  ],
  router_settings: { num_retries: 0 },
}))

const PIXEL = 'iVBORw0KGgo='
const USAGE = {
  input_tokens: 13,
  output_tokens: 1_056,
  total_tokens: 1_069,
  input_tokens_details: { text_tokens: 13, image_tokens: 0 },
}

function draws(more: Json = {}): Answer {
  return jsonAnswer({ created: 1_700_000_000, data: [{ b64_json: PIXEL }], usage: USAGE, ...more })
}

const event = (type: string, more: Json): string => `event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`
const partial = event('image_generation.partial_image', { b64_json: 'AAAA', partial_image_index: 0 })
const completed = event('image_generation.completed', { b64_json: PIXEL, usage: USAGE })

let orgId: string
let key: string
let client: OpenAI

async function payer(upstream: Handler | Answer, credits = 10_000): Promise<void> {
  ;({ orgId, key, client } = await seedPayer(product, upstream, credits))
}

beforeAll(() => payer(draws()))

const lastRequest = () => lastRequestOf(product)

const booked = () => chargesOf(product.db.pool, orgId)

const row = (charge: string, more: Json = {}): Json => {
  return { outcome: 'answered', provenance: 'provider_usage', charge, service_type: 'image_generation', ...more }
}

async function quoteOf(body: Json, path = '/v1/images/generations'): Promise<Json> {
  const answer = await postChat(product.tollgate, key, body, { path: `/v1/quotes?endpoint=${path}` })
  return answer.json()
}

describe('Whole responses', () => {
  test('A model that is billed by tokens gets the request as it was sent, and its tokens are charged.', async () => {
    await payer(draws())
    const body = '{ "model":"gpt-image-1", "prompt" : "A cat","size":"1024x1024","quality":"medium","power_level":null}'
    const answer = await postChat(product.tollgate, key, body, { path: '/v1/images/generations' })
    expect(answer.json()).toEqual({
      created: 1_700_000_000,
      data: [{ b64_json: PIXEL }],
      usage: { ...USAGE, cost: 0.0634575 },
    })
    expect([lastRequest().path, lastRequest().body.toString()]).toEqual([
      '/v1/images/generations',
      '{ "model":"gpt-image-1", "prompt" : "A cat","size":"1024x1024","quality":"medium"}',
    ])
    // 13 x $5 + 1 056 x $40
    expect(answer.headers.get('x-credits-used')).toBe('63.457500')
    expect(await booked()).toEqual([row('63.457500')])
  })

  test.each<[string, Json, number]>([
    ['one square of low quality', { size: '1024x1024', quality: 'low' }, 272],
    ['what the model chooses', {}, 6_240],
    ['three of high quality', { n: 3, size: '1024x1024', quality: 'high' }, 3 * 4_160],
    ['a wide one', { size: '1536x1024', quality: 'medium' }, 1_584],
    ['a stream with two drafts', { size: '1024x1024', quality: 'low', partial_images: 2, stream: true }, 472],
  ])('Of %s the dearest is held.', async (_, asked, tokens) => {
    await payer(draws())
    const { held_credits: held } = await quoteOf({ model: 'gpt-image-1', prompt: 'A cat', ...asked })
    const output = tokens * 0.06
    expect(held).toBeGreaterThanOrEqual(output)
    expect(held).toBeLessThan(output + 0.1)
  })

  test('What a later model makes is held by its pixels; a quality of which nothing is known is refused.', async () => {
    await payer(draws())
    const large = await quoteOf({ model: 'later', prompt: 'A cat', size: '2048x2048', quality: 'low' })
    // 4 x 1 024 tokens at $30 a million.
    expect(large.held_credits).toBeGreaterThanOrEqual(184.32)
    const asked = { model: 'later', prompt: 'A cat', quality: 'max' as 'high' }
    await expect(client.images.generate(asked)).rejects.toMatchObject({ status: 400, code: 'unbounded_output' })
    expect(await booked()).toEqual([])
  })

  test('A model that is priced by the image is charged by those that came, in whatever form.', async () => {
    const data = [{ url: 'https://images.test/1.png' }, { b64_json: PIXEL }, { url: '' }]
    await payer(jsonAnswer({ created: 1, data }))
    const { data: images } = await client.images.generate({ model: 'dall-e-3', prompt: 'A cat', n: 3, style: 'vivid' })
    expect(images).toEqual(data)
    expect(lastRequest().json).toMatchObject({ model: 'dall-e-3', style: 'vivid', n: 3 })
    expect(await booked()).toEqual([row('120.000000')])
    expect(await quoteOf({ model: 'dall-e-3', prompt: 'A cat', n: 3 })).toMatchObject({
      held_credits: 180,
      max_credits: 180,
      expected_credits: 180,
    })
  })

  test("LiteLLM's price of an image that is sent is that of one that is made, where no other is written.", async () => {
    await payer(jsonAnswer({ created: 1, data: [{ b64_json: PIXEL }] }))
    await client.images.generate({ model: 'older', prompt: 'A cat' })
    expect(await booked()).toEqual([row('24.000000')])
  })

  test('More images than were asked for are not believed: the most that was held is booked.', async () => {
    await payer(jsonAnswer({ created: 1, data: Array(9).fill({ b64_json: PIXEL }) }))
    await client.images.generate({ model: 'dall-e-3', prompt: 'A cat' })
    const [{ charge, provenance } = {}] = await booked()
    expect([charge, provenance]).toEqual(['540.000000', 'disputed'])
  })

  test('Tokens that nobody stated are those that such an image usually takes.', async () => {
    await payer(draws({ usage: undefined }))
    await client.images.generate({ model: 'gpt-image-1', prompt: 'A cat', size: '1024x1024', quality: 'high' })
    // 2 x $5 + 4 160 x $40
    expect(await booked()).toEqual([row('249.615000', { provenance: 'estimated' })])
  })

  test('A usage of no tokens beside an image counts as missing; a quality named like a member of every object is unknown.', async () => {
    await payer(draws({ usage: { input_tokens: 2, output_tokens: 0, total_tokens: 2 } }))
    const asked = { model: 'gpt-image-1', prompt: 'A cat', size: '1024x1024', quality: 'low' } as const
    await client.images.generate(asked)
    // 2 x $5 + 272 x $40
    expect(await booked()).toEqual([row('16.335000', { provenance: 'estimated' })])
    const odd = client.images.generate({ ...asked, quality: 'constructor' as 'low' })
    await expect(odd).rejects.toMatchObject({ status: 400, code: 'unbounded_output' })
  })

  test('Words of older models are said in those of the model; what it lacks is refused by name.', async () => {
    await payer(draws())
    const hd = { model: 'gpt-image-1', prompt: 'A cat', quality: 'hd', response_format: 'b64_json' } as const
    await client.images.generate(hd)
    expect(lastRequest().json).toEqual({ model: 'gpt-image-1', prompt: 'A cat', quality: 'high' })
    for (const [member, value] of [
      ['style', 'vivid'],
      ['response_format', 'url'],
      ['output_format', 'gif'],
      ['prompt_rewriter', true],
    ]) {
      const asked = { model: 'gpt-image-1', prompt: 'A cat', [String(member)]: value }
      await expect(client.images.generate(asked as typeof hd)).rejects.toMatchObject({ status: 400, param: member })
    }
    for (const [member, value] of [
      ['n', 11],
      ['n', 1.5],
      ['size', 'huge'],
      ['prompt', ''],
      ['partial_images', 4],
      ['quality', 3],
    ]) {
      const asked = { model: 'gpt-image-1', prompt: 'A cat', [String(member)]: value }
      await expect(client.images.generate(asked as typeof hd)).rejects.toMatchObject({ status: 400, param: member })
    }
  })

  test('xAI is asked in its own words, and its bill does not come before the price of the operator.', async () => {
    const usage = { cost_in_usd_ticks: 200_000_000 }
    await payer(jsonAnswer({ data: [{ url: 'https://x.test/1.jpg' }], usage }))
    const asked = { model: 'grok', prompt: 'A cat', aspect_ratio: '16:9' } as OpenAI.ImageGenerateParamsNonStreaming
    const { usage: shown } = await client.images.generate(asked)
    expect(lastRequest().json).toEqual({ model: 'grok-imagine-image', prompt: 'A cat', aspect_ratio: '16:9' })
    expect(shown).toEqual({ cost: 0.03 })
    expect(await booked()).toEqual([row('30.000000')])
    await expect(client.images.generate({ ...asked, quality: 'high' })).rejects.toMatchObject({ param: 'quality' })
  })

  test('An error keeps its status and words, and nothing is charged; a caller without credits is told so.', async () => {
    await payer(errorAnswer(400, { message: 'Your request was rejected.', code: 'moderation_blocked' }))
    await expect(client.images.generate({ model: 'gpt-image-1', prompt: 'A cat' })).rejects.toMatchObject({
      status: 400,
      error: { message: 'Your request was rejected.' },
    })
    expect(await booked()).toEqual([row('0.000000', { outcome: 'failed', provenance: null })])
    await payer(draws(), 10)
    await expect(client.images.generate({ model: 'gpt-image-1', prompt: 'A cat' })).rejects.toMatchObject({
      status: 402,
      code: 'insufficient_credits',
    })
    expect([product.upstream.requests, await booked()]).toEqual([[], []])
  })

  test('A model without a price is refused by name, one that only writes too, and one that only draws writes nothing.', async () => {
    await payer(draws())
    await expect(client.images.generate({ model: 'unpriced', prompt: 'A cat' })).rejects.toMatchObject({
      code: 'unknown_price',
      message: expect.stringContaining('output_cost_per_image'),
    })
    await expect(client.images.generate({ model: 'gpt-4o', prompt: 'A cat' })).rejects.toMatchObject({
      code: 'unsupported_endpoint',
    })
    const messages = [{ role: 'user' as const, content: 'Hi' }]
    await expect(client.chat.completions.create({ model: 'gpt-image-1', messages })).rejects.toMatchObject({
      code: 'unsupported_endpoint',
      message: expect.stringContaining('/v1/images/generations'),
    })
    expect(product.upstream.requests).toEqual([])
  })

  test('A deployment with a mock_response draws a pixel and charges what such an image usually takes.', async () => {
    await payer(draws())
    const { data } = await client.images.generate({
      model: 'drawn',
      prompt: 'A cat',
      quality: 'low',
      size: '1024x1024',
    })
    expect(data?.[0]?.b64_json).toMatch(/^iVBOR/)
    expect(await booked()).toEqual([row('16.335000', { provenance: 'estimated' })])
  })

  test('A caller who leaves before the images are there is charged for them.', async () => {
    let release = () => {}
    const beforeHead = new Promise<void>((resolve) => {
      release = resolve
    })
    await payer({ ...draws(), beforeHead })
    const left = new AbortController()
    const asked = { model: 'gpt-image-1', prompt: 'A cat', quality: 'medium' } as const
    const call = client.images.generate(asked, { signal: left.signal })
    await product.upstream.received(1)
    left.abort()
    await expect(call).rejects.toThrow()
    await tellApart(product.tollgate)
    release()
    await vi.waitFor(async () => {
      expect(await booked()).toEqual([row('63.457500', { outcome: 'client_disconnected' })])
    })
  })
})

describe('Streams', () => {
  const asked = { model: 'gpt-image-1', prompt: 'A cat', quality: 'medium', stream: true, partial_images: 1 } as const

  test('Drafts pass as they come; the image waits for the books, and states its cost.', async () => {
    await payer(rawStream([partial, completed]))
    const answer = await postChat(product.tollgate, key, asked, { path: '/v1/images/generations' })
    const last = { type: 'image_generation.completed', b64_json: PIXEL, usage: { ...USAGE, cost: 0.0634575 } }
    expect(answer.body).toBe(partial + event(last.type, last))
    expect(await booked()).toEqual([row('63.457500')])
    const types: string[] = []
    for await (const one of await client.images.generate(asked)) types.push(one.type)
    expect(types).toEqual(['image_generation.partial_image', 'image_generation.completed'])
  })

  test('A stream that is cut before its image is charged what such an image usually takes, and ends in an error.', async () => {
    await payer(rawStream([partial, completed], { cutAfter: partial.length }))
    const seen: string[] = []
    const read = async () => {
      for await (const one of await client.images.generate(asked)) seen.push(one.type)
    }
    await expect(read()).rejects.toThrow()
    expect(seen).toEqual(['image_generation.partial_image'])
    // 2 x $5 + (1 056 + 100 for the draft) x $40
    expect(await booked()).toEqual([row('69.375000', { outcome: 'cut_off', provenance: 'estimated' })])
  })

  test('A stream that fails before anything came costs nothing and keeps its status.', async () => {
    await payer(rawStream([event('error', { error: { message: 'No.', code: 'moderation_blocked', type: 'x' } })]))
    await expect(client.images.generate(asked)).rejects.toMatchObject({ status: 400 })
    expect(await booked()).toEqual([row('0.000000', { outcome: 'failed', provenance: null })])
  })

  test('A stream whose caller leaves is read to its end, for OpenAI bills it.', async () => {
    let release = () => {}
    const gate = new Promise<void>((resolve) => {
      release = resolve
    })
    await payer(rawStream([partial, completed], { gate: (i) => (i === 1 ? gate : undefined) }))
    const stream = await client.images.generate(asked)
    for await (const _ of stream) break
    await tellApart(product.tollgate)
    release()
    await vi.waitFor(async () => {
      expect(await booked()).toEqual([row('63.457500', { outcome: 'client_disconnected' })])
    })
  })
})

describe("Ops-Center's callers", () => {
  test('POST /api/v1/llm/image/generations leaves out what the model lacks, and returns addresses and what the call cost.', async () => {
    await payer(draws())
    const body = {
      prompt: 'A cat',
      model: 'gpt-image-1',
      size: '1024x1024',
      quality: 'standard',
      n: 1,
      style: 'vivid',
      response_format: 'url',
    }
    const answer = await postChat(product.tollgate, key, body, { path: '/api/v1/llm/image/generations' })
    expect(answer.json()).toMatchObject({
      data: [{ b64_json: PIXEL, url: `data:image/png;base64,${PIXEL}` }],
      _metadata: { provider_used: 'openai', cost_incurred: 63.4575, credits_remaining: 9936.5425, using_byok: false },
    })
    expect(lastRequest().json).toEqual({
      ...{ prompt: 'A cat', model: 'gpt-image-1', size: '1024x1024', quality: 'medium', n: 1 },
    })
    expect(await booked()).toEqual([row('63.457500')])
  })

  test('POST /api/v1/llm/image/generations for a model that is priced by the image shows the address its provider gave.', async () => {
    const data = [{ url: 'https://images.test/1.png' }]
    await payer(jsonAnswer({ created: 1, data }))
    const body = { prompt: 'A cat', model: 'dall-e-3', size: '1024x1024', quality: 'standard', n: 1 }
    const answer = await postChat(product.tollgate, key, body, { path: '/api/v1/llm/image/generations' })
    expect([answer.json().data, lastRequest().json]).toEqual([data, body])
    expect(answer.headers.get('x-credits-used')).toBe('60.000000')
  })

  test("OpenAI's client below /api/v1/llm finds images too.", async () => {
    await payer(draws())
    const below = new OpenAI({ baseURL: `${product.tollgate.url}/api/v1/llm`, apiKey: key, maxRetries: 0 })
    const { data } = await below.images.generate({ model: 'gpt-image-1', prompt: 'A cat', quality: 'medium' })
    expect(data?.[0]?.b64_json).toBe(PIXEL)
  })
})

describe('Edits', () => {
  const image = () => toFile(Buffer.from('not read'), 'cat.png', { type: 'image/png' })

  test('An edit is read, checked and written anew; its images are charged at their own price.', async () => {
    const usage = {
      ...USAGE,
      input_tokens: 336,
      total_tokens: 1_392,
      input_tokens_details: { text_tokens: 13, image_tokens: 323 },
    }
    await payer(draws({ usage }))
    const asked = {
      model: 'gpt-image-1',
      prompt: 'Two cats',
      image: [await image(), await image()],
      quality: 'medium',
    } as const
    const { usage: shown } = await client.images.edit({ ...asked, image: [...asked.image] })
    expect(shown).toEqual({ ...usage, cost: 0.0683025 })
    const { path, headers, body } = lastRequest()
    const boundary = /boundary=(tollgate-[0-9a-f]{32})$/.exec(String(headers['content-type']))?.[1]
    const file = (name: string) =>
      `--${boundary}\r\ncontent-disposition: form-data; name="${name}"; filename="cat.png"\r\ncontent-type: image/png\r\n\r\nnot read\r\n`
    const field = (name: string, text: string) =>
      `--${boundary}\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${text}\r\n`
    expect([path, Number(headers['content-length']), body.toString()]).toEqual([
      '/v1/images/edits',
      body.length,
      field('model', 'gpt-image-1') +
        field('prompt', 'Two cats') +
        field('quality', 'medium') +
        file('image[]').repeat(2) +
        `--${boundary}--\r\n`,
    ])
    // 13 x $5 + 323 x $10 + 1 056 x $40
    expect(await booked()).toEqual([row('68.302500')])
  })

  test('The same edit with the same Idempotency-Key is made once, whatever its boundary is.', async () => {
    await payer(draws())
    const asked = { model: 'gpt-image-1', prompt: 'Two cats', image: await image() }
    const headers = { 'Idempotency-Key': 'edit-1' }
    await client.images.edit(asked, { headers })
    await client.images.edit(asked, { headers })
    expect([product.upstream.requests.length, (await booked()).length]).toEqual([1, 1])
    await expect(client.images.edit({ ...asked, prompt: 'Three cats' }, { headers })).rejects.toMatchObject({
      code: 'idempotency_key_reused',
    })
  })

  test('A JSON body is no edit, and an edit wants its image.', async () => {
    await payer(draws())
    const answer = await postChat(
      product.tollgate,
      key,
      { model: 'gpt-image-1', prompt: 'x' },
      { path: '/v1/images/edits' },
    )
    expect(answer.status).toBe(415)
    const form = new FormData()
    form.set('model', 'gpt-image-1')
    form.set('prompt', 'x')
    const headers = { authorization: `Bearer ${key}` }
    const response = await fetch(`${product.tollgate.url}/v1/images/edits`, { method: 'POST', body: form, headers })
    expect([response.status, await response.json()]).toMatchObject([400, { error: { param: 'image' } }])
  })
})
