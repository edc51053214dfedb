/**
 * Whatever a provider sends: no reader throws, hangs or keeps bytes without bound, what it lets through has the canonical form, and
 * the call ends in the books, settled or released.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { StreamReader } from '../../providers/provider.ts'
import type { Reading } from '../../providers/reading.ts'
import { chatProviderOf, providerNames } from '../../providers/registry.ts'
import { eventsOf, object } from '../conformance/frames.ts'
import type { SeededOrganization } from '../support/database.ts'
import { useProduct } from '../support/product.ts'
import { seeded, seededRandom } from '../support/splits.ts'
import { get, type ModelEntry, postChat } from '../support/tollgate.ts'
import { broken } from './broken-bytes.ts'
import { contextFor, ODD, type Said, wireOf } from './wire-samples.ts'

const SAID: Said = {
  thoughts: ['Let me ', 'see…'],
  text: ['Hé', 'llo ', '😀', '\n\n"quoted"'],
  tool: { name: 'look_up', arguments: '{"city":"Zürich","days":[1,2]}' },
  finish: 'tool_calls',
  counts: { input: 120, cacheRead: 30, cacheWrite: 0, output: 45, reasoning: 12 },
}
const FINISH_REASONS = ['stop', 'length', 'tool_calls', 'content_filter', 'function_call', '']
const seed = fc.integer({ min: 1, max: 1e9 })

/** Those whose frames are read differently: the others are read as OpenAI's. */
const READERS = ['openai', 'openrouter', 'anthropic', 'gemini']

describe.each(providerNames())('the reader of %s', (name) => {
  const provider = chatProviderOf(name)
  const stream = wireOf(name).stream(SAID, ODD)
  const answer = wireOf(name).answer(SAID)

  test('A reader survives any broken stream.', () => {
    fc.assert(
      fc.property(seed, seed, (breakage, cut) => {
        const reader = provider.chat.readStream(contextFor(true))
        const parts = seeded(cut, 1 + (cut % 300))(broken(stream, breakage)).map((piece) => reader.push(piece))
        parts.push(reader.end())
        const out = Buffer.concat(parts.flatMap(({ bytes }) => (bytes === null ? [] : [bytes]))).toString()
        expect(out === '' || /^(?:data: [^\n]*\n\n)+$/.test(out), out.slice(0, 500)).toBe(true)
        expectReadable(reader)
      }),
      { numRuns: 150 },
    )
  })

  test('A reader survives any broken response.', () => {
    fc.assert(
      fc.property(seed, (breakage) => {
        const read = provider.chat.readResponse(broken(answer, breakage), contextFor(false))
        if (read === null || 'kind' in read) return
        expectReading(read.reading)
        expect(FINISH_REASONS).toEqual(expect.arrayContaining(read.finishReasons))
        expect(typeof read.outputText()).toBe('string')
        const body = JSON.parse(read.body('0.5', { prompt_tokens: 1 }).toString()) as { usage: { cost: unknown } }
        expect(body.usage.cost).toBe(0.5)
      }),
      { numRuns: 150 },
    )
  })

  test('A reader survives any broken error.', () => {
    const errors = [
      '{"error":{"message":"no","type":"x","code":"y","param":"z"}}',
      '{"error":"no","code":"y"}',
      '[{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT","details":[{"retryDelay":"4s"}]}}]',
      '{"type":"error","error":{"type":"overloaded_error","message":"no"},"request_id":null}',
      'upstream connect error',
      '',
    ]
    fc.assert(
      fc.property(seed, fc.constantFrom(...errors), fc.integer({ min: 300, max: 599 }), (breakage, text, status) => {
        const headers = { 'retry-after': broken(Buffer.from('17'), breakage).toString('latin1') }
        const error = provider.readError(status, headers, broken(Buffer.from(text), breakage))
        expect(error.message).not.toBe('')
        expect(error.retryAfterMs === null || error.retryAfterMs >= 0).toBe(true)
      }),
      { numRuns: 150 },
    )
  })
})

describe.each(READERS)('the bounds of the reader of %s', (name) => {
  const provider = chatProviderOf(name)

  test.each([
    ['a line that never ends', 'x'],
    ['JSON that never ends', '{"a":'],
    ['a frame of endless lines', 'data: x\n'],
  ])('A reader refuses %s before it has kept 40 MB.', (_, run) => {
    const reader = provider.chat.readStream(contextFor(true))
    reader.push(Buffer.from('data: '))
    const megabyte = Buffer.from(run.repeat(Math.ceil(2 ** 20 / run.length)))
    let fed = 0
    const feed = () => {
      for (; fed < 40; fed += 1) if (reader.push(megabyte).error !== null) return
      throw new Error('everything was kept')
    }
    try {
      feed()
    } catch (error) {
      expect(error).toBeInstanceOf(RangeError)
    }
    expect(fed).toBeLessThan(40)
  })

  test.each([
    ['empty lines', '\n'],
    ['comments', ': busy\n\n'],
    ['empty data', 'data:\n\n'],
    ['data that is no JSON', 'data: [[[[\n\n'],
    ['objects that mean nothing', 'data: {}\n\n'],
  ])('A reader takes a megabyte of %s and keeps none of it.', (_, piece) => {
    const reader = provider.chat.readStream(contextFor(true))
    reader.push(Buffer.from(piece.repeat(Math.ceil(2 ** 20 / piece.length))))
    reader.end()
    expect(reader.outputText()).toBe('')
    expectReading(reader.reading)
  })
})

describe('the product', () => {
  const product = useProduct((upstreamUrl) => ({
    models: providerNames().map((name) => modelOf(name, upstreamUrl)),
    litellm_settings: { num_retries: 0 },
  }))
  let acme: SeededOrganization<'alice'>
  beforeAll(async () => {
    acme = await product.db.seedOrganization({ credits: 1_000_000, users: { alice: 500_000 } })
  })
  afterAll(() => product.upstream.respond({ frames: [] }))

  test.each(providerNames())('The product closes every call in the books, whatever %s sends.', async (name) => {
    const wire = wireOf(name)
    const body = { model: `broken-${name}`, messages: [{ role: 'user', content: 'Hello' }], max_tokens: 200 }
    for (let run = 1; run <= 25; run += 1) {
      const random = seededRandom(run + 1_000)
      const stream = random() < 0.7
      const bytes = broken(stream ? wire.stream(SAID, ODD) : wire.answer(SAID), run)
      product.upstream.respond({
        status: random() < 0.85 ? 200 : 400 + Math.floor(random() * 200),
        headers: { 'content-type': stream ? 'text/event-stream' : 'application/json' },
        frames: [bytes],
        split: seeded(run, 100),
        ...(random() < 0.2 ? { cutAfter: Math.floor(random() * bytes.length) + 1 } : {}),
      })
      const answer = await postChat(product.tollgate, acme.keys.alice, { ...body, stream })
      const callId = answer.headers.get('x-litellm-call-id') ?? ''
      const call = (await get(product.tollgate, acme.keys.alice, `/v1/calls/${callId}`)).json()
      expect(call, `seed ${run}: ${answer.body.slice(0, 300)}`).toMatchObject({
        status: 'settled',
        // Stopped: a breakage makes the text longer than the cap of 200 tokens allows.
        outcome: expect.stringMatching(/^(?:answered|stopped|failed|cut_off)$/),
      })
      if (call.outcome === 'failed') expect(call.credits).toBe('0')
    }
  })
})

/** A cloud serves what it knows by its name. */
const HOSTED: Readonly<Record<string, string>> = { bedrock: 'amazon.nova-sample-1', vertex_ai: 'gemini-sample-1' }

function modelOf(name: string, upstreamUrl: string): ModelEntry {
  const path = new URL(chatProviderOf(name).baseUrl).pathname
  return {
    model_name: `broken-${name}`,
    litellm_params: {
      model: `${name}/${HOSTED[name] ?? 'sample-1'}`,
      api_base: new URL(path, upstreamUrl).href,
      api_key: 'os.environ/SCRIPTED_API_KEY',
      ...(name === 'vertex_ai' ? { vertex_project: 'p' } : {}),
      input_cost_per_token: 0.000001,
      output_cost_per_token: 0.000002,
    },
  }
}

function expectReadable(reader: StreamReader): void {
  expectReading(reader.reading)
  expect(FINISH_REASONS).toEqual(expect.arrayContaining([...reader.finishReasons]))
  expect(reader.textSince(0).text.endsWith(reader.outputText())).toBe(true)
  const frame = eventsOf(reader.usageFrame('0.5', { prompt_tokens: 1 }))[0]?.json
  expect(frame).toMatchObject({ choices: [], usage: { cost: 0.5 } })
  for (const { json } of eventsOf(reader.stopFrames())) expect(object(json)).not.toBeNull()
}

function expectReading({ usage, cost }: Reading): void {
  const { toolFees, ...buckets } = usage ?? { toolFees: {} }
  for (const value of [...Object.values(buckets), ...Object.values(toolFees)])
    expect(Number.isSafeInteger(value) && value >= 0, `${value} tokens`).toBe(true)
  expect(cost === null || cost >= 0n).toBe(true)
}
