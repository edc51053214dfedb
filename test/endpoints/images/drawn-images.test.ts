/**
 * Images of models that draw where they write: Gemini's, Imagen, and those at OpenRouter, behind OpenAI's routes of images and in chats.
 * gemini-2.5-flash-image: $0.30 a million tokens in, $2.50 of text, $30 of images; gemini-3-pro-image: $2, $12 and $120. Half of it on top.
 */
import type OpenAI from 'openai'
import { toFile } from 'openai'
import { beforeAll, describe, expect, test } from 'vitest'
import { chargesOf } from '../../support/call-books.ts'
import { lastRequestOf, seedPayer } from '../../support/openai-payer.ts'
import { useProduct } from '../../support/product.ts'
import { modelOn, postChat } from '../../support/tollgate.ts'
import { type Answer, type Handler, jsonAnswer, rawStream, sse } from '../../support/upstream-answers.ts'

type Json = Record<string, unknown>

const FLASH = 'gemini-2.5-flash-image'
const PRO = 'gemini-3-pro-image-preview'

const product = useProduct((url) => ({
  models: [
    modelOn(url, FLASH, { model: `gemini/${FLASH}` }),
    modelOn(url, PRO, { model: `gemini/${PRO}` }),
    modelOn(url, 'unknown-drawer', {
      model: 'gemini/gemini-9-image',
      input_cost_per_token: 0,
      output_cost_per_token: 0,
    }),
    modelOn(url, 'imagen', { model: 'gemini/imagen-4.0-generate-001', output_cost_per_image: 0.04 }),
    modelOn(url, 'unpriced-imagen', { model: 'gemini/imagen-4.0-generate-001' }),
    modelOn(url, 'routed', { model: `openrouter/google/${FLASH}` }),
    modelOn(url, 'routed-openai', { model: 'openrouter/openai/gpt-5-image' }),
    modelOn(url, 'flux', { model: 'openrouter/black-forest-labs/flux.2-pro', output_cost_per_image: 0.03 }),
  ],
  router_settings: { num_retries: 0 },
}))

const PIXEL = 'iVBORw0KGgo='
const png = () => toFile(Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'), 'cat.png', { type: 'text/plain' })

const drawnPart = { inlineData: { mimeType: 'image/png', data: PIXEL } }
const usageOf = (prompt: number, image: number, more: Json = {}): Json => ({
  promptTokenCount: prompt,
  candidatesTokenCount: image,
  totalTokenCount: prompt + image + Number(more.thoughtsTokenCount ?? 0),
  candidatesTokensDetails: [{ modality: 'IMAGE', tokenCount: image }],
  ...more,
})

function gemini(parts: readonly Json[], usage: Json | undefined, more: Json = {}): Answer {
  const candidates = [{ content: { role: 'model', parts }, finishReason: 'STOP', index: 0, ...more }]
  return jsonAnswer({ candidates, usageMetadata: usage, modelVersion: FLASH, responseId: 'r' })
}

const routedUsage = {
  prompt_tokens: 5,
  completion_tokens: 1_295,
  total_tokens: 1_300,
  completion_tokens_details: { reasoning_tokens: 0, image_tokens: 1_290 },
}

function routed(images: readonly string[], usage: Json, content = ''): Answer {
  const message = {
    role: 'assistant',
    content,
    images: images.map((url) => ({ type: 'image_url', image_url: { url } })),
  }
  return jsonAnswer({
    id: 'gen-1',
    object: 'chat.completion',
    created: 1,
    model: `google/${FLASH}`,
    choices: [{ index: 0, message, finish_reason: 'stop' }],
    usage,
  })
}

let orgId: string
let key: string
let client: OpenAI

async function payer(upstream: Handler | Answer, credits = 10_000): Promise<void> {
  ;({ orgId, key, client } = await seedPayer(product, upstream, credits))
}

beforeAll(() => payer(gemini([drawnPart], usageOf(5, 1_290))))

const lastRequest = () => lastRequestOf(product)
const booked = () => chargesOf(product.db.pool, orgId)
const row = (charge: string, more: Json = {}): Json => {
  return { outcome: 'answered', provenance: 'provider_usage', charge, service_type: 'image_generation', ...more }
}
const chatRow = (charge: string, more: Json = {}): Json => row(charge, { service_type: 'llm_inference', ...more })

async function heldFor(body: Json, path = '/v1/images/generations'): Promise<unknown> {
  const answer = await postChat(product.tollgate, key, body, { path: `/v1/quotes?endpoint=${path}` })
  return answer.json().held_credits
}

describe("Gemini's", () => {
  test('An image is asked of a Gemini model by generateContent, answers as OpenAI’s, and is charged by its tokens.', async () => {
    await payer(gemini([drawnPart], usageOf(5, 1_290)))
    const {
      data,
      usage,
      output_format: format,
    } = await client.images.generate({
      model: FLASH,
      prompt: 'A cat',
      size: '1792x1024',
    })
    expect([data, format]).toEqual([[{ b64_json: PIXEL }], 'png'])
    expect(usage).toEqual({
      input_tokens: 5,
      output_tokens: 1_290,
      total_tokens: 1_295,
      input_tokens_details: { text_tokens: 5, image_tokens: 0 },
      output_tokens_details: { text_tokens: 0, image_tokens: 1_290 },
      cost: 0.05805225,
    })
    expect([lastRequest().path, lastRequest().json]).toEqual([
      `/v1/models/${FLASH}:generateContent`,
      {
        contents: [{ role: 'user', parts: [{ text: 'A cat' }] }],
        generationConfig: {
          responseModalities: ['IMAGE'],
          maxOutputTokens: 1_802,
          imageConfig: { aspectRatio: '16:9' },
        },
      },
    ])
    // 5 x $0.30 + 1 290 x $30
    expect(await booked()).toEqual([row('58.052250')])
  })

  test('The cap that is sent is what is held: an image of the size that was asked for, and what is thought and said beside it.', async () => {
    await payer(gemini([drawnPart], usageOf(5, 1_290)))
    const expectHeld = async (asked: Json, tokens: number, rate: number) => {
      const held = await heldFor({ prompt: 'A cat', ...asked })
      expect(held).toBeGreaterThanOrEqual(tokens * rate)
      expect(held).toBeLessThan(tokens * rate + 1)
    }
    await expectHeld({ model: FLASH }, 1_290 + 512, 0.045)
    await expectHeld({ model: PRO, size: '2048x2048' }, 1_120 + 512 + 4_096, 0.18)
    await expectHeld({ model: PRO, size: '4096x4096' }, 2_000 + 512 + 4_096, 0.18)
  })

  test('Thoughts and words beside an image have the price of text.', async () => {
    const usage = usageOf(7, 1_120, { thoughtsTokenCount: 300 })
    await payer(gemini([{ text: 'Thinking.', thought: true }, drawnPart], usage))
    const { usage: shown } = await client.images.generate({ model: PRO, prompt: 'A cat', size: '4096x4096' })
    expect(shown).toMatchObject({
      output_tokens: 1_420,
      output_tokens_details: { text_tokens: 300, image_tokens: 1_120 },
    })
    expect(lastRequest().json).toMatchObject({
      generationConfig: { imageConfig: { aspectRatio: '1:1', imageSize: '4K' } },
    })
    // The model that served is the cheaper one: 7 x $0.30 + 300 x $2.50 + 1 120 x $30
    expect(await booked()).toEqual([row('51.528150')])
  })

  test('Where nobody says which tokens are the image’s, all but the thoughts are; where nobody says any, those of such an image.', async () => {
    const { candidatesTokensDetails: _, ...bare } = usageOf(5, 1_290)
    await payer(gemini([drawnPart], bare))
    await client.images.generate({ model: FLASH, prompt: 'A cat' })
    expect(await booked()).toEqual([row('58.052250')])
    await payer(gemini([drawnPart], undefined))
    await client.images.generate({ model: FLASH, prompt: 'A cat' })
    // 2 x $0.30 + 1 290 x $30
    expect(await booked()).toEqual([row('58.050900', { provenance: 'estimated' })])
  })

  test('More images than one are charged as those that came: beyond the cap that was sent, no statement is believed.', async () => {
    await payer(gemini([drawnPart, drawnPart, drawnPart], usageOf(5, 30_000)))
    await client.images.generate({ model: FLASH, prompt: 'Three cats' })
    // 2 x $0.30 + 3 x 1 290 x $30
    expect(await booked()).toEqual([row('174.150900', { provenance: 'disputed' })])
  })

  test('A response without an image is an error that says why, and costs what its provider states.', async () => {
    await payer(gemini([{ text: 'Which cat?' }], { promptTokenCount: 5, candidatesTokenCount: 3, totalTokenCount: 8 }))
    await expect(client.images.generate({ model: FLASH, prompt: 'A cat' })).rejects.toMatchObject({
      status: 400,
      code: 'no_image',
      error: { message: expect.stringContaining('Which cat?') },
    })
    // 5 x $0.30 + 3 x $2.50
    expect(await booked()).toEqual([row('0.013500', { outcome: 'cut_off' })])
    await payer(gemini([], { promptTokenCount: 5, totalTokenCount: 5 }, { finishReason: 'IMAGE_SAFETY' }))
    await expect(client.images.generate({ model: FLASH, prompt: 'A cat' })).rejects.toMatchObject({
      status: 400,
      code: 'content_filter',
    })
    expect(await booked()).toEqual([row('0.002250', { outcome: 'cut_off' })])
  })

  test('An edit sends its images inline, by what their bytes are; a mask, and what is no image, is refused.', async () => {
    await payer(gemini([drawnPart], usageOf(263, 1_290)))
    const asked = { model: FLASH, prompt: 'Two cats', image: await png() }
    await client.images.edit(asked)
    const sent = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex').toString('base64')
    expect(lastRequest().json).toMatchObject({
      contents: [
        { role: 'user', parts: [{ text: 'Two cats' }, { inlineData: { mimeType: 'image/png', data: sent } }] },
      ],
    })
    // 263 x $0.30 + 1 290 x $30
    expect(await booked()).toEqual([row('58.168350')])
    await expect(client.images.edit({ ...asked, mask: await png() })).rejects.toMatchObject({ param: 'mask' })
    const film = await toFile(Buffer.from('0000001c667479706d703432000000006d70', 'hex'), 'cat.png', {
      type: 'image/png',
    })
    await expect(client.images.edit({ ...asked, image: film })).rejects.toMatchObject({ param: 'image' })
    expect(product.upstream.requests).toHaveLength(1)
  })

  test.each<[string, Json]>([
    ['n', { n: 2 }],
    ['size', { size: '1000x100' }],
    ['size', { size: '4096x4096' }],
    ['aspect_ratio', { aspect_ratio: '7:1' }],
    ['quality', { quality: 'high' }],
    ['style', { style: 'vivid' }],
    ['output_format', { output_format: 'webp' }],
    ['response_format', { response_format: 'url' }],
    ['stream', { stream: true }],
  ])('What the model can not be told is refused by name: %s.', async (param, asked) => {
    await payer(gemini([drawnPart], usageOf(5, 1_290)))
    const answer = await postChat(
      product.tollgate,
      key,
      { model: FLASH, prompt: 'A cat', ...asked },
      { path: '/v1/images/generations' },
    )
    expect([answer.status, answer.json().error]).toMatchObject([400, { param }])
    expect([product.upstream.requests, await booked()]).toEqual([[], []])
  })

  test("Ops-Center's callers get an image all the same: what the model lacks is left out.", async () => {
    await payer(gemini([drawnPart], usageOf(5, 1_290)))
    const body = { model: FLASH, prompt: 'A cat', quality: 'hd', style: 'vivid', n: 2, size: '1000x100' }
    const answer = await postChat(product.tollgate, key, body, { path: '/api/v1/llm/image/generations' })
    expect(answer.json()).toMatchObject({ data: [{ url: `data:image/png;base64,${PIXEL}` }] })
    expect(lastRequest().json).toMatchObject({
      generationConfig: { responseModalities: ['IMAGE'], maxOutputTokens: 1_802 },
    })
    expect(await booked()).toEqual([row('58.052250')])
  })

  test('A model of which nothing is published is made only at a price an image.', async () => {
    await payer(gemini([drawnPart], usageOf(5, 1_290)))
    await expect(client.images.generate({ model: 'unknown-drawer', prompt: 'A cat' })).rejects.toMatchObject({
      status: 400,
      code: 'unsupported_endpoint',
    })
  })
})

describe('Imagen', () => {
  test('Imagen is asked by predict and charged by the images that came, without the filtered ones.', async () => {
    const predictions = [{ bytesBase64Encoded: PIXEL, mimeType: 'image/png' }, { raiFilteredReason: 'No.' }]
    await payer(jsonAnswer({ predictions }))
    const { data } = await client.images.generate({ model: 'imagen', prompt: 'A cat', n: 2, size: '2048x2048' })
    expect(data).toEqual([{ b64_json: PIXEL }])
    expect([lastRequest().path, lastRequest().json]).toEqual([
      '/v1/models/imagen-4.0-generate-001:predict',
      {
        instances: [{ prompt: 'A cat' }],
        parameters: { sampleCount: 2, aspectRatio: '1:1', sampleImageSize: '2K' },
      },
    ])
    expect(await booked()).toEqual([row('60.000000')])
    expect(await heldFor({ model: 'imagen', prompt: 'A cat', n: 2 })).toBe(120)
  })

  test('Images that were all filtered are an error and cost nothing; five at a time, edits and no price are refused.', async () => {
    await payer(jsonAnswer({ predictions: [{ raiFilteredReason: 'Blocked for its content.' }] }))
    await expect(client.images.generate({ model: 'imagen', prompt: 'A cat' })).rejects.toMatchObject({
      status: 400,
      code: 'content_filter',
      error: { message: expect.stringContaining('Blocked for its content.') },
    })
    expect(await booked()).toEqual([row('0.000000', { outcome: 'failed', provenance: null })])
    await expect(client.images.generate({ model: 'imagen', prompt: 'A cat', n: 5 })).rejects.toMatchObject({
      param: 'n',
    })
    const edit = client.images.edit({ model: 'imagen', prompt: 'Two cats', image: await png() })
    await expect(edit).rejects.toMatchObject({ param: 'image' })
    await expect(client.images.generate({ model: 'unpriced-imagen', prompt: 'A cat' })).rejects.toMatchObject({
      code: 'unknown_price',
      message: expect.stringContaining('output_cost_per_image'),
    })
    expect(product.upstream.requests).toHaveLength(1)
  })
})

describe("Gemini's clients", () => {
  const predict = (body: Json) => postChat(product.tollgate, key, body, { path: '/v1beta/models/imagen:predict' })

  test('generateImages makes images with any model that can, in Google’s form, with what they cost.', async () => {
    await payer(jsonAnswer({ predictions: Array(2).fill({ bytesBase64Encoded: PIXEL, mimeType: 'image/png' }) }))
    const parameters = { sampleCount: 2, aspectRatio: '16:9', sample_image_size: '2K' }
    const answer = await predict({ instances: [{ prompt: 'A cat' }], parameters })
    expect(answer.json()).toMatchObject({
      predictions: Array(2).fill({ mimeType: 'image/png', bytesBase64Encoded: PIXEL }),
      usageMetadata: { cost: 0.12 },
    })
    expect(lastRequest().json).toEqual({
      instances: [{ prompt: 'A cat' }],
      parameters: { sampleCount: 2, aspectRatio: '16:9', sampleImageSize: '2K' },
    })
    expect(await booked()).toEqual([row('120.000000')])
  })

  test('Four images are made where a request does not say how many; unknown parameters and several prompts are refused by name.', async () => {
    await payer(jsonAnswer({ predictions: Array(4).fill({ bytesBase64Encoded: PIXEL }) }))
    await predict({ instances: { prompt: 'A cat' } })
    expect([lastRequest().json, await booked()]).toMatchObject([
      { parameters: { sampleCount: 4 } },
      [row('240.000000')],
    ])
    for (const body of [
      { instances: [{ prompt: 'A cat' }], parameters: { enhancePrompt: true } },
      { instances: [{ prompt: 'A cat' }, { prompt: 'Two' }] },
      { instances: [{ prompt: 'A cat' }], parameters: { sampleImageSize: '8K' } },
      { instances: [{ prompt: 'A cat' }], parameters: { sampleCount: 1, sample_count: 4 } },
    ]) {
      const refused = await predict(body)
      expect([refused.status, refused.json().error]).toMatchObject([400, { status: 'INVALID_ARGUMENT' }])
    }
    expect(product.upstream.requests).toHaveLength(1)
  })
})

describe("OpenRouter's", () => {
  test('An image of OpenRouter is asked for by a chat, with the price bounded, and is charged by the bill.', async () => {
    await payer(routed([`data:image/png;base64,${PIXEL}`], { ...routedUsage, cost: 0.0388 }))
    const { data, usage } = await client.images.generate({ model: 'routed', prompt: 'A cat', size: '1536x1024' })
    expect([data, usage]).toEqual([
      [{ b64_json: PIXEL }],
      {
        input_tokens: 5,
        output_tokens: 1_295,
        total_tokens: 1_300,
        input_tokens_details: { text_tokens: 5, image_tokens: 0 },
        output_tokens_details: { text_tokens: 5, image_tokens: 1_290 },
        cost: 0.0582,
      },
    ])
    expect([lastRequest().path, lastRequest().json]).toEqual([
      '/v1/chat/completions',
      {
        model: `google/${FLASH}`,
        messages: [{ role: 'user', content: 'A cat' }],
        modalities: ['image', 'text'],
        max_tokens: 1_802,
        image_config: { aspect_ratio: '3:2' },
        provider: { max_price: { prompt: 0.3, completion: 2.5 } },
      },
    ])
    expect(await booked()).toEqual([row('58.200000', { provenance: 'provider_cost' })])
  })

  test('A model that only draws is asked for images alone and charged by those that came.', async () => {
    await payer(routed(['https://images.test/1.png'], { ...routedUsage, cost: 0.5 }))
    const { data } = await client.images.edit({ model: 'flux', prompt: 'A cat', image: await png() })
    expect(data).toEqual([{ url: 'https://images.test/1.png' }])
    expect(lastRequest().json).toMatchObject({
      modalities: ['image'],
      messages: [{ role: 'user', content: [{ type: 'text' }, { type: 'image_url' }] }],
    })
    expect(await booked()).toEqual([row('45.000000')])
  })

  test('Words in the place of an image are an error with the words, charged as billed.', async () => {
    await payer(routed([], { ...routedUsage, completion_tokens_details: {}, cost: 0.0001 }, 'Which cat?'))
    await expect(client.images.generate({ model: 'routed', prompt: 'A cat' })).rejects.toMatchObject({
      status: 400,
      code: 'no_image',
      error: { message: expect.stringContaining('Which cat?') },
    })
    expect(await booked()).toEqual([row('0.150000', { outcome: 'cut_off', provenance: 'provider_cost' })])
  })

  test('A model whose images have no price in any list is refused by name, in chats too.', async () => {
    await payer(routed([], routedUsage))
    const messages = [{ role: 'user' as const, content: 'A cat' }]
    for (const call of [
      client.images.generate({ model: 'routed-openai', prompt: 'A cat' }),
      client.chat.completions.create({ model: 'routed-openai', messages }),
    ])
      await expect(call).rejects.toMatchObject({ status: 400, code: 'unknown_price' })
    expect(product.upstream.requests).toEqual([])
  })
})

describe('In chats', () => {
  const asked = (model: string, more: Json = {}) => ({
    model,
    messages: [{ role: 'user' as const, content: 'A cat' }],
    max_tokens: 10,
    ...more,
  })

  test('An image has the price of an image, whether the usage says which tokens are its own or not.', async () => {
    const { candidatesTokensDetails: _, ...bare } = usageOf(5, 1_290)
    for (const usage of [usageOf(5, 1_290), bare]) {
      await payer(gemini([drawnPart], usage))
      await client.chat.completions.create(asked(FLASH))
      expect(await booked()).toEqual([chatRow('58.052250')])
    }
  })

  test('A chat that may draw is held at all that its model can write, whatever cap it states: no cap is known to bound an image.', async () => {
    await payer(gemini([drawnPart], usageOf(5, 1_290)))
    const held = await heldFor(asked(FLASH), '/v1/chat/completions')
    expect(held).toBeGreaterThanOrEqual(32_768 * 0.045)
    expect(held).toBeLessThan(32_768 * 0.045 + 1)
  })

  test('An image that came in a stream is charged though the stream broke off before it stated anything.', async () => {
    const frame = sse({
      candidates: [{ content: { role: 'model', parts: [drawnPart] }, index: 0 }],
      modelVersion: FLASH,
    })
    const last = sse({ candidates: [{ content: { parts: [{ text: '' }] }, finishReason: 'STOP', index: 0 }] })
    await payer(rawStream([frame, last], { cutAfter: frame.length }))
    const read = async () => {
      for await (const _ of await client.chat.completions.create({ ...asked(FLASH), stream: true }));
    }
    await expect(read()).rejects.toThrow()
    const [{ charge, outcome, provenance } = {}] = await booked()
    // 1 290 x $30, and a few tokens of the request.
    expect(Number(charge)).toBeGreaterThan(58.05)
    expect(Number(charge)).toBeLessThan(58.06)
    expect([outcome, provenance]).toEqual(['cut_off', 'estimated'])
  })

  test("An image at OpenRouter that came in a stream is charged though the stream broke off, at the price of Google's images.", async () => {
    const images = [{ type: 'image_url', image_url: { url: `data:image/png;base64,${PIXEL}` } }]
    const chunk = (delta: Json, finish: string | null = null) =>
      sse({
        id: 'g',
        object: 'chat.completion.chunk',
        created: 1,
        model: `google/${FLASH}`,
        choices: [{ index: 0, delta, finish_reason: finish }],
      })
    const frames = [chunk({ role: 'assistant', content: 'Here.' }), chunk({ images })]
    await payer(rawStream([...frames, chunk({}, 'stop')], { cutAfter: frames.join('').length }))
    const read = async () => {
      for await (const _ of await client.chat.completions.create({ ...asked('routed'), stream: true }));
    }
    await expect(read()).rejects.toThrow()
    const [{ charge } = {}] = await booked()
    expect(Number(charge)).toBeGreaterThan(58.05)
    expect(Number(charge)).toBeLessThan(58.1)
  })
})
