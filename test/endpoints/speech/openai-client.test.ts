/**
 * OpenAI's own client on the route of speech: what reaches the provider, what the client makes of the response, what is booked.
 * tts-1 as the operator prices it: $15 a million characters; gpt-4o-mini-tts: $0.60 a million tokens of text, $12 of sound; half on top.
 */
import type OpenAI from 'openai'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { mp3, wav } from '../../providers/media/build.ts'
import { chargesOf } from '../../support/call-books.ts'
import { lastRequestOf, seedPayer } from '../../support/openai-payer.ts'
import { useProduct } from '../../support/product.ts'
import { tellApart } from '../../support/tell-apart.ts'
import { modelOn, postChat } from '../../support/tollgate.ts'
import { type Answer, errorAnswer, type Handler, rawStream } from '../../support/upstream-answers.ts'

type Json = Record<string, unknown>

const product = useProduct((url) => ({
  models: [
    modelOn(url, 'tts-1', { input_cost_per_character: 0.000015 }),
    modelOn(url, 'gpt-4o-mini-tts'),
    modelOn(url, 'groq', { model: 'groq/playai-tts', input_cost_per_character: 0.00005 }),
    modelOn(url, 'unpriced', { model: 'openai/tts-1-hd' }),
    modelOn(url, 'unbounded', {
      ...{ model: 'openai/tts-own', input_cost_per_token: 0.000001, output_cost_per_token: 0.000001 },
    }),
    modelOn(url, 'spoken', { model: 'openai/tts-1', input_cost_per_character: 0.000015, mock_response: 'x' }),
  ],
  router_settings: { num_retries: 0 },
}))

/** 1,152 samples at 44,100 Hz in each of its frames. */
const SOUND = mp3(200)
const sound = (bytes = SOUND, more: Partial<Answer> = {}): Answer => ({
  ...{ headers: { 'content-type': 'audio/mpeg' }, frames: [bytes.subarray(0, 1_000), bytes.subarray(1_000)], ...more },
})
const data = (json: Json): string => `data: ${JSON.stringify(json)}\n\n`
const USAGE = { input_tokens: 14, output_tokens: 101, total_tokens: 115 }
const DELTA = data({ type: 'speech.audio.delta', audio: SOUND.toString('base64') })
const DONE = { type: 'speech.audio.done', usage: USAGE }

let orgId: string
let key: string
let client: OpenAI

async function payer(upstream: Handler | Answer, credits = 10_000): Promise<void> {
  ;({ orgId, key, client } = await seedPayer(product, upstream, credits))
}

beforeAll(() => payer(sound()))

const lastRequest = () => lastRequestOf(product)

const booked = () => chargesOf(product.db.pool, orgId)

const row = (charge: string, more: Json = {}): Json => {
  return { outcome: 'answered', provenance: 'estimated', charge, service_type: 'audio_speech', ...more }
}

const speak = (body: Json) => postChat(product.tollgate, key, body, { path: '/v1/audio/speech' })

describe('Sound', () => {
  test('The sound passes as it came, and the characters of its text are charged.', async () => {
    await payer(sound())
    const body = '{ "model":"tts-1","input" : "Hi \\ud83d\\ude00e\\u0301","voice":"alloy" }'
    const response = await client.post('/audio/speech', { body: JSON.parse(body), __binaryResponse: true } as never)
    const { headers } = response as Response
    expect(Buffer.from(await (response as Response).arrayBuffer()).equals(SOUND)).toBe(true)
    expect(headers.get('content-type')).toBe('audio/mpeg')
    const { path, json } = lastRequest()
    expect([path, json]).toEqual(['/v1/audio/speech', JSON.parse(body)])
    // An emoji is one, an accent of its own too: six.
    expect(await booked()).toEqual([row('0.135000')])
  })

  test("OpenAI's client gets its sound from Groq too, in whatever format it asks for.", async () => {
    await payer(sound(wav(1)))
    const made = await client.audio.speech.create({
      model: 'groq',
      input: 'Hello',
      voice: 'Fritz-PlayAI',
      response_format: 'wav',
    })
    expect([made.headers.get('content-type'), (await made.arrayBuffer()).byteLength]).toEqual([
      'audio/wav',
      wav(1).length,
    ])
    expect(lastRequest().json).toMatchObject({ model: 'playai-tts', response_format: 'wav' })
    expect(await booked()).toEqual([row('0.375000')])
  })

  test('What is billed by tokens is charged by the length of the sound where nothing is stated.', async () => {
    await payer(sound())
    await (await client.audio.speech.create({ model: 'gpt-4o-mini-tts', input: 'Hello', voice: 'alloy' })).arrayBuffer()
    // 5.224 s x 21 = 110 tokens x $12, and one token x $0.60.
    expect(await booked()).toEqual([row('1.980900')])
  })

  test('Events pass as they come; the last one waits for the books, and states the cost.', async () => {
    await payer(rawStream([DELTA, data(DONE)]))
    const { body, headers } = await speak({
      model: 'gpt-4o-mini-tts',
      input: 'Hello',
      voice: 'alloy',
      stream_format: 'sse',
    })
    // 14 x $0.60 + 101 x $12
    expect(body).toBe(DELTA + data({ ...DONE, usage: { ...USAGE, cost: 0.0018306 } }))
    expect(headers.get('content-type')).toContain('text/event-stream')
    expect(await booked()).toEqual([row('1.830600', { provenance: 'provider_usage' })])
  })

  test('Tokens of speech that is billed by the character are shown and not charged.', async () => {
    await payer(rawStream([DELTA, data(DONE)]))
    await speak({ model: 'tts-1', input: 'Hello', voice: 'alloy', stream_format: 'sse' })
    expect(await booked()).toEqual([row('0.112500')])
  })

  test('Sound that breaks off breaks off for its caller too, and is charged as far as it came.', async () => {
    await payer(sound(SOUND, { cutAfter: 41_800 }))
    const made = await client.audio.speech.create({ model: 'gpt-4o-mini-tts', input: 'Hello', voice: 'alloy' })
    await expect(made.arrayBuffer()).rejects.toThrow()
    // 101 frames: 2.638 s x 21 = 56 tokens.
    expect(await booked()).toEqual([row('1.008900', { outcome: 'cut_off' })])
  })

  test('A caller who leaves is charged for the whole sound.', async () => {
    let release = () => {}
    const gate = new Promise<void>((resolve) => {
      release = resolve
    })
    await payer(sound(SOUND, { gate: (i) => (i === 1 ? gate : undefined) }))
    const left = new AbortController()
    const made = await client.audio.speech.create(
      { model: 'gpt-4o-mini-tts', input: 'Hello', voice: 'alloy' },
      { signal: left.signal },
    )
    left.abort()
    await expect(made.arrayBuffer()).rejects.toThrow()
    await tellApart(product.tollgate)
    release()
    await vi.waitFor(async () => {
      expect(await booked()).toEqual([row('1.980900', { outcome: 'client_disconnected' })])
    })
  })

  test('An error keeps its status and words and costs nothing; a caller who can’t pay is refused.', async () => {
    await payer(errorAnswer(400, { message: 'No such voice.', code: 'invalid_value' }))
    const asked = { model: 'gpt-4o-mini-tts', input: 'Hello', voice: 'nobody' }
    await expect(client.audio.speech.create(asked)).rejects.toMatchObject({
      status: 400,
      error: { message: 'No such voice.' },
    })
    expect(await booked()).toEqual([row('0.000000', { outcome: 'failed', provenance: null })])
    await payer(sound(), 10)
    // The hold is for the slowest speech: 1,060 tokens.
    await expect(client.audio.speech.create(asked)).rejects.toMatchObject({ status: 402 })
    expect([product.upstream.requests, await booked()]).toEqual([[], []])
  })

  test('A deployment with a mock_response returns a moment of silence.', async () => {
    await payer(sound())
    const made = await client.audio.speech.create({ model: 'spoken', input: 'Hello', voice: 'alloy' })
    expect(Buffer.from(await made.arrayBuffer()).toString('latin1', 0, 4)).toBe('RIFF')
    expect(await booked()).toEqual([row('0.112500')])
  })
})

describe('What callers may try to pay less', () => {
  test.for<[string, Json, string]>([
    ['no text', { input: '' }, 'input'],
    ['texts in a list', { input: ['Hello', 'world'] }, 'input'],
    ['a format that nobody knows', { response_format: 'MP3' }, 'response_format'],
    ['a stream of another kind', { stream_format: 'SSE' }, 'stream_format'],
    ['a speed in words', { speed: '0.25' }, 'speed'],
    ['a speed below the slowest', { speed: 0.1 }, 'speed'],
    ['no speed at all', { speed: 0 }, 'speed'],
    ['a text beside it', { text: 'A long one' }, 'text'],
    ['a text in capitals', { Input: 'A long one' }, 'Input'],
    ['many at once', { n: 5 }, 'n'],
  ])('%s is refused by name, and nothing is sent.', async ([, more, param]) => {
    await payer(sound())
    const { status, body } = await speak({ model: 'tts-1', input: 'Hello', voice: 'alloy', ...more })
    expect([status, JSON.parse(body)]).toMatchObject([400, { error: { param } }])
    expect([product.upstream.requests, await booked()]).toEqual([[], []])
  })

  test('A text that stands twice counts as the one that is sent.', async () => {
    await payer(sound())
    const text = '{"model":"tts-1","input":"Hi","input":"Hello","voice":"alloy"}'
    const { status } = await postChat(product.tollgate, key, text, { path: '/v1/audio/speech' })
    expect([status, product.upstream.requests]).toEqual([400, []])
  })

  test('A slow speech is held for as long as it may be.', async () => {
    await payer(sound())
    const quoted = async (speed: number) => {
      const asked = { model: 'gpt-4o-mini-tts', input: 'x'.repeat(1_000), voice: 'alloy', speed }
      return (await postChat(product.tollgate, key, asked, { path: '/v1/quotes?endpoint=/v1/audio/speech' })).json()
        .held_credits
    }
    // 12 tokens a character and 1,000 on top, and four times that; $18 a million.
    expect(await quoted(1)).toBeGreaterThanOrEqual(13_000 * 0.018)
    expect(await quoted(0.25)).toBeGreaterThanOrEqual(49_000 * 0.018)
  })

  test('A model without a price, one that nothing bounds, and one that does not speak are refused by name.', async () => {
    await payer(sound())
    const create = (model: string) => client.audio.speech.create({ model, input: 'Hello', voice: 'alloy' })
    await expect(create('unpriced')).rejects.toMatchObject({
      code: 'unknown_price',
      message: expect.stringContaining('input_cost_per_character'),
    })
    await expect(create('unbounded')).rejects.toMatchObject({ code: 'unbounded_output' })
    await expect(create('gpt-4o')).rejects.toMatchObject({ code: 'unsupported_endpoint' })
    expect(product.upstream.requests).toEqual([])
  })
})
