/**
 * OpenAI's own client on the routes of transcriptions: what reaches the provider, what the client makes of the response, what is booked.
 * whisper-1: $0.36 an hour; gpt-4o-transcribe: $6 a million tokens of sound, $2.50 of text, $10 of what is written; half of it on top.
 */
import { type OpenAI, toFile } from 'openai'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { join, mp3, wav, wavFormat } from '../../providers/media/build.ts'
import { chargesOf } from '../../support/call-books.ts'
import { lastRequestOf, seedPayer } from '../../support/openai-payer.ts'
import { useProduct } from '../../support/product.ts'
import { tellApart } from '../../support/tell-apart.ts'
import { modelOn } from '../../support/tollgate.ts'
import {
  type Answer,
  errorAnswer,
  type Handler,
  jsonAnswer,
  rawStream,
  textAnswer,
} from '../../support/upstream-answers.ts'

type Json = Record<string, unknown>

const product = useProduct((url) => ({
  models: [
    modelOn(url, 'whisper-1'),
    modelOn(url, 'gpt-4o-transcribe'),
    modelOn(url, 'groq', { model: 'groq/whisper-large-v3' }),
    modelOn(url, 'own', { model: 'openai/whisper-own', input_cost_per_second: 0.001 }),
    modelOn(url, 'free', { model: 'openai/whisper-free', input_cost_per_second: 0 }),
    modelOn(url, 'unpriced', { model: 'openai/whisper-unpriced' }),
    modelOn(url, 'heard', { model: 'openai/whisper-1', mock_response: 'Hello.' }),
  ],
  router_settings: { num_retries: 0 },
}))

const TEXT = 'Hello world.'
const TOKENS = {
  type: 'tokens',
  input_tokens: 110,
  input_token_details: { text_tokens: 10, audio_tokens: 100 },
  output_tokens: 20,
  total_tokens: 130,
}
const TEN_SECONDS = wav(10)
/** Samples in four bits, which only a decoder can count. */
const UNMEASURED = wav(10, { format: wavFormat({ format: 2, bits: 4, block: 1 }) })

const heard = (more: Json = {}): Answer => jsonAnswer({ text: TEXT, ...more })
const data = (json: Json): string => `data: ${JSON.stringify(json)}\n\n`
const DELTA = data({ type: 'transcript.text.delta', delta: TEXT })
const DONE = { type: 'transcript.text.done', text: TEXT, usage: TOKENS }

let orgId: string
let key: string
let client: OpenAI

async function payer(upstream: Handler | Answer, credits = 10_000): Promise<void> {
  ;({ orgId, key, client } = await seedPayer(product, upstream, credits))
}

beforeAll(() => payer(heard()))

const lastRequest = () => lastRequestOf(product)

const booked = () => chargesOf(product.db.pool, orgId)

const row = (charge: string, more: Json = {}): Json => {
  return { outcome: 'answered', provenance: 'provider_usage', charge, service_type: 'audio_transcription', ...more }
}

const file = (bytes = TEN_SECONDS, name = 'a.wav') => toFile(bytes, name, { type: 'audio/wav' })

/** A form as it is given, of texts and files. */
async function post(fields: readonly (readonly [string, string | Buffer])[], path = 'transcriptions') {
  const form = new FormData()
  for (const [name, value] of fields)
    if (typeof value === 'string') form.append(name, value)
    else form.append(name, new Blob([new Uint8Array(value)]), 'a.wav')
  const headers = { authorization: `Bearer ${key}` }
  const response = await fetch(`${product.tollgate.url}/v1/audio/${path}`, { method: 'POST', body: form, headers })
  return { status: response.status, headers: response.headers, text: await response.text() }
}

describe('Whole responses', () => {
  test('The multipart form is written anew, and the seconds that the provider states are charged.', async () => {
    await payer(heard({ usage: { type: 'duration', seconds: 10 } }))
    const asked = { model: 'whisper-1', file: await file(), language: 'en', timestamp_granularities: ['word' as const] }
    expect(await client.audio.transcriptions.create(asked)).toEqual({
      text: TEXT,
      usage: { type: 'duration', seconds: 10, cost: 0.0015 },
    })
    const { path, headers, body } = lastRequest()
    const boundary = /boundary=(tollgate-[0-9a-f]{32})$/.exec(String(headers['content-type']))?.[1]
    const field = (name: string, text: string) =>
      `--${boundary}\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${text}\r\n`
    const head = `--${boundary}\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\ncontent-type: audio/wav\r\n\r\n`
    expect(path).toBe('/v1/audio/transcriptions')
    const sent = join([
      Buffer.from(
        field('model', 'whisper-1') + field('language', 'en') + field('timestamp_granularities[]', 'word') + head,
      ),
      TEN_SECONDS,
      Buffer.from(`\r\n--${boundary}--\r\n`),
    ])
    expect(body.equals(sent)).toBe(true)
    expect(await booked()).toEqual([row('1.500000')])
  })

  test('A translation goes to its own route, and is charged by the duration that it states.', async () => {
    await payer(heard({ duration: 8.2, language: 'english' }))
    await client.audio.translations.create({ model: 'whisper-1', file: await file(), response_format: 'verbose_json' })
    expect([lastRequest().path, await booked()]).toEqual(['/v1/audio/translations', [row('1.230000')]])
  })

  test.for(['text', 'srt', 'vtt'] as const)(
    'What comes as %s passes as it is, and its recording is measured here.',
    async (format) => {
      // A recording whose words are a statement of its length.
      const said = '{"text":"","usage":{"type":"duration","seconds":0.001}}'
      await payer(textAnswer(200, said))
      const asked = { model: 'whisper-1', file: await file(), response_format: format }
      expect(await client.audio.transcriptions.create(asked)).toBe(said)
      // 320,044 bytes at 32,000 a second.
      expect(await booked()).toEqual([row('1.500300', { provenance: 'estimated' })])
    },
  )

  test('Tokens are charged at the price of sound, of text and of what is written.', async () => {
    await payer(heard({ usage: TOKENS }))
    const { usage } = await client.audio.transcriptions.create({
      model: 'gpt-4o-transcribe',
      file: await file(),
      prompt: 'Names',
    })
    expect(usage).toEqual({ ...TOKENS, cost: 0.0012375 })
    // 100 x $6 + 10 x $2.50 + 20 x $10
    expect(await booked()).toEqual([row('1.237500')])
  })

  test('Tokens that nobody stated are ten a second, and what was written is counted.', async () => {
    await payer(heard())
    await client.audio.transcriptions.create({ model: 'gpt-4o-transcribe', file: await file() })
    // 101 x $6 + 3 x $10
    expect(await booked()).toEqual([row('0.954000', { provenance: 'estimated' })])
  })

  test('Seconds stated where tokens are billed, and tokens where seconds are, do not count.', async () => {
    await payer(heard({ usage: { type: 'duration', seconds: 1 } }))
    await client.audio.transcriptions.create({ model: 'gpt-4o-transcribe', file: await file() })
    await payer(heard({ usage: TOKENS }))
    await client.audio.transcriptions.create({ model: 'whisper-1', file: await file() })
    expect(await booked()).toEqual([row('1.500300', { provenance: 'estimated' })])
  })

  test('At Groq a recording shorter than ten seconds is charged as ten, whatever is stated.', async () => {
    await payer(heard({ duration: '1.5' }))
    const asked = { model: 'groq', file: await file(wav(1)), response_format: 'verbose_json' } as const
    await client.audio.transcriptions.create(asked)
    // 10 s at $0.111 an hour, which is 30.8333334 nano-dollars a millisecond.
    expect(await booked()).toEqual([row('0.462501')])
    await payer(textAnswer(200, TEXT))
    await client.audio.transcriptions.create({ ...asked, response_format: 'text' })
    expect(await booked()).toEqual([row('0.462501', { provenance: 'estimated' })])
    expect(lastRequest().path).toBe('/v1/audio/transcriptions')
  })

  test('More seconds than the recording can have are not believed.', async () => {
    await payer(heard({ usage: { type: 'duration', seconds: 5_000 } }))
    await client.audio.transcriptions.create({ model: 'whisper-1', file: await file() })
    // 11 s and one of slack: what was held.
    expect(await booked()).toEqual([row('1.800000', { provenance: 'disputed' })])
  })

  test('A silence is charged too.', async () => {
    await payer(heard({ text: '' }))
    await client.audio.transcriptions.create({ model: 'own', file: await file() })
    // 10.002 s at $0.001
    expect(await booked()).toEqual([row('15.003000', { provenance: 'estimated' })])
  })

  test('An error keeps its words and costs nothing; a caller who can’t pay for the longest it can be is refused.', async () => {
    await payer(errorAnswer(400, { message: 'Invalid file format.', code: 'invalid_value' }))
    const asked = { model: 'whisper-1', file: await file() }
    await expect(client.audio.transcriptions.create(asked)).rejects.toMatchObject({
      status: 400,
      error: { message: 'Invalid file format.' },
    })
    expect(await booked()).toEqual([row('0.000000', { outcome: 'failed', provenance: null })])
    await payer(heard(), 1)
    await expect(client.audio.transcriptions.create(asked)).rejects.toMatchObject({ status: 402 })
    expect([product.upstream.requests, await booked()]).toEqual([[], []])
  })

  test('A caller who leaves before the text is there is charged for it.', async () => {
    let release = () => {}
    const beforeHead = new Promise<void>((resolve) => {
      release = resolve
    })
    await payer({ ...heard({ usage: { type: 'duration', seconds: 10 } }), beforeHead })
    const left = new AbortController()
    const call = client.audio.transcriptions.create({ model: 'whisper-1', file: await file() }, { signal: left.signal })
    await product.upstream.received(1)
    left.abort()
    await expect(call).rejects.toThrow()
    await tellApart(product.tollgate)
    release()
    await vi.waitFor(async () => {
      expect(await booked()).toEqual([row('1.500000', { outcome: 'client_disconnected' })])
    })
  })

  test('A deployment with a mock_response returns it as the transcription.', async () => {
    await payer(heard())
    const { text } = await client.audio.transcriptions.create({ model: 'heard', file: await file() })
    expect([text, await booked()]).toEqual(['Hello.', [row('1.500300', { provenance: 'estimated' })]])
  })
})

describe('Streams', () => {
  const asked = async () => ({ model: 'gpt-4o-transcribe', file: await file(), stream: true }) as const

  async function read(): Promise<string[]> {
    const types: string[] = []
    for await (const { type } of await client.audio.transcriptions.create(await asked())) types.push(type)
    return types
  }

  test('Pieces pass as they come; the last event waits for the books, and states its cost.', async () => {
    await payer(rawStream([DELTA, data(DONE)]))
    const { text } = await post([
      ['model', 'gpt-4o-transcribe'],
      ['stream', 'true'],
      ['file', TEN_SECONDS],
    ])
    expect(text).toBe(DELTA + data({ ...DONE, usage: { ...TOKENS, cost: 0.0012375 } }))
    expect(await read()).toEqual(['transcript.text.delta', 'transcript.text.done'])
    expect(await booked()).toEqual([row('1.237500'), row('1.237500')])
  })

  test('A stream that is cut is charged for the recording and what was shown.', async () => {
    await payer(rawStream([DELTA, data(DONE)], { cutAfter: DELTA.length }))
    await expect(read()).rejects.toThrow()
    expect(await booked()).toEqual([row('0.954000', { outcome: 'cut_off', provenance: 'estimated' })])
  })

  test('A stream whose caller leaves is read to its end.', async () => {
    let release = () => {}
    const gate = new Promise<void>((resolve) => {
      release = resolve
    })
    await payer(rawStream([DELTA, data(DONE)], { gate: (i) => (i === 1 ? gate : undefined) }))
    for await (const _ of await client.audio.transcriptions.create(await asked())) break
    await tellApart(product.tollgate)
    release()
    await vi.waitFor(async () => {
      expect(await booked()).toEqual([row('1.237500', { outcome: 'client_disconnected' })])
    })
  })

  test('A model that sends no events is not asked for a stream.', async () => {
    await payer(heard())
    for (const model of ['whisper-1', 'groq'])
      await expect(client.audio.transcriptions.create({ ...(await asked()), model })).rejects.toMatchObject({
        status: 400,
        param: 'stream',
      })
    expect(await booked()).toEqual([])
  })
})

describe('What callers may try to pay less', () => {
  test('A recording of which only a decoder knows the length is refused where it is billed by that.', async () => {
    await payer(heard({ usage: { type: 'duration', seconds: 1 } }))
    const create = async (model: string) => client.audio.transcriptions.create({ model, file: await file(UNMEASURED) })
    await expect(create('whisper-1')).rejects.toMatchObject({ status: 400, code: 'unbounded_input', param: 'file' })
    await create('free')
    expect(await booked()).toEqual([row('0.000000')])
    // By tokens it is bounded by what the model hears at most.
    await payer(heard({ usage: TOKENS }))
    await create('gpt-4o-transcribe')
    expect(await booked()).toEqual([row('1.237500')])
  })

  test('A recording with gaps between its frames is held at the lowest rate it can have.', async () => {
    const gaps = join([mp3(100), Buffer.from('x'), mp3(300)])
    await payer(heard({ usage: { type: 'duration', seconds: gaps.length / 990 } }))
    await client.audio.transcriptions.create({ model: 'own', file: await file(gaps) })
    const [{ provenance } = {}] = await booked()
    expect(provenance).toBe('provider_usage')
  })

  test.for<[string, (readonly [string, string | Buffer])[], string]>([
    [
      'a second file',
      [
        ['file', TEN_SECONDS],
        ['file', TEN_SECONDS],
      ],
      'request_body',
    ],
    [
      'a file beside it',
      [
        ['file', TEN_SECONDS],
        ['audio', TEN_SECONDS],
      ],
      'audio',
    ],
    ['a list of files', [['file[]', TEN_SECONDS]], 'file[]'],
    [
      'an address in its place',
      [
        ['url', 'https://x.test/long.mp3'],
        ['file', TEN_SECONDS],
      ],
      'url',
    ],
    ['a text in its place', [['file', 'RIFF']], 'file'],
    ['no file', [], 'file'],
    ['an empty file', [['file', Buffer.alloc(0)]], 'file'],
    [
      'a model and another',
      [
        ['model', 'gpt-4o-transcribe'],
        ['file', TEN_SECONDS],
      ],
      'request_body',
    ],
    [
      'a list of models',
      [
        ['model[]', 'gpt-4o-transcribe'],
        ['file', TEN_SECONDS],
      ],
      'request_body',
    ],
    [
      'a form that nobody knows',
      [
        ['response_format', 'JSON'],
        ['file', TEN_SECONDS],
      ],
      'response_format',
    ],
    [
      'forms in a list',
      [
        ['response_format[]', 'text'],
        ['file', TEN_SECONDS],
      ],
      'response_format',
    ],
    [
      'a stream that is neither',
      [
        ['stream', '1'],
        ['file', TEN_SECONDS],
      ],
      'stream',
    ],
    [
      'a name in capitals',
      [
        ['Model', 'gpt-4o-transcribe'],
        ['file', TEN_SECONDS],
      ],
      'Model',
    ],
    [
      'five voices',
      [...Array(5).fill(['known_speaker_references[]', 'data:x']), ['file', TEN_SECONDS]],
      'known_speaker_references',
    ],
  ])('%s is refused by name, and nothing is sent.', async ([, fields, param]) => {
    await payer(heard())
    const { status, text } = await post([['model', 'whisper-1'], ...fields])
    expect([status, JSON.parse(text)]).toMatchObject([400, { error: { param } }])
    expect([product.upstream.requests, await booked()]).toEqual([[], []])
  })

  test('A model without a price, one that does not hear, and a body that is no form are refused by name.', async () => {
    await payer(heard())
    await expect(client.audio.transcriptions.create({ model: 'unpriced', file: await file() })).rejects.toMatchObject({
      code: 'unknown_price',
      message: expect.stringContaining('input_cost_per_second'),
    })
    await expect(client.audio.transcriptions.create({ model: 'gpt-4o', file: await file() })).rejects.toMatchObject({
      code: 'unsupported_endpoint',
    })
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
    const response = await fetch(`${product.tollgate.url}/v1/audio/transcriptions`, {
      method: 'POST',
      body: '{"model":"whisper-1"}',
      headers,
    })
    expect(response.status).toBe(415)
  })
})
