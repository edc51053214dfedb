/** What holds for every provider of the registry: however a stream is cut it means the same, and no token is counted twice or lost. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ChatProvider, ProviderError, ProviderResponse } from '../../providers/provider.ts'
import type { Reading } from '../../providers/reading.ts'
import { chatProviderOf, providerNames } from '../../providers/registry.ts'
import { inputTokens, outputTokens, type Usage } from '../../providers/usage.ts'
import { choicesOf, eventsOf, type Json, object } from '../conformance/frames.ts'
import { awkward, everyByte, type Split, seeded, whole } from '../support/splits.ts'
import { ASKED, type Counts, contextFor, MODEL, ODD, type Quirks, type Said, wireOf } from './wire-samples.ts'

const tokens = fc.integer({ min: 0, max: 2_000_000 })
const counts: fc.Arbitrary<Counts> = fc
  .record({
    input: tokens,
    cacheRead: tokens,
    cacheWrite: tokens,
    reasoning: tokens,
    shown: fc.integer({ min: 1, max: 2_000_000 }),
  })
  .map(({ shown, reasoning, ...input }) => ({ ...input, reasoning, output: reasoning + shown }))
// Line ends and quotes are escaped in JSON, wide characters are cut inside.
const piece = fc.oneof(
  fc.string({ minLength: 1, unit: 'binary' }),
  fc.constantFrom('é', '😀', '\n\n', '\r\n', '"usage"'),
)
const said: fc.Arbitrary<Said> = fc
  .record({
    thoughts: fc.array(piece, { maxLength: 3 }),
    text: fc.array(piece, { minLength: 1, maxLength: 5 }),
    tool: fc.option(
      fc.record({
        name: fc.constant('look_up'),
        arguments: fc.json({ maxDepth: 1 }).map((value) => `{"of":${value}}`),
      }),
    ),
    end: fc.constantFrom('stop', 'length'),
    counts,
  })
  .map(({ end, ...rest }) => ({ ...rest, finish: rest.tool === null ? end : 'tool_calls' }))
const quirks: fc.Arbitrary<Quirks> = fc.record({
  lineEnd: fc.constantFrom('\n', '\r\n'),
  space: fc.boolean(),
  comments: fc.integer({ min: 0, max: 20 }),
  done: fc.boolean(),
  usage: fc.subarray(['finish', 'own frame', 'x_groq'], { minLength: 1 }),
  finishTwice: fc.boolean(),
  finishEarly: fc.boolean(),
  repeatRole: fc.boolean(),
})

interface Outcome {
  out: string
  done: boolean
  error: ProviderError | null
  reading: Reading
  finishReasons: readonly string[]
  frames: number
  uncounted: string
  usageFrame: string
}

function read(provider: ChatProvider, stream: Buffer, split: Split): Outcome {
  const reader = provider.chat.readStream(contextFor(true))
  const parts = [...split(stream).map((part) => reader.push(part)), reader.end()]
  const last = parts.at(-1)
  return {
    out: Buffer.concat(parts.flatMap(({ bytes }) => (bytes === null ? [] : [bytes]))).toString(),
    done: last?.done ?? false,
    error: last?.error ?? null,
    reading: { ...reader.reading },
    finishReasons: [...reader.finishReasons],
    frames: reader.frames,
    uncounted: reader.outputText(),
    usageFrame: reader.usageFrame('0.5', {}).toString(),
  }
}

describe.each(providerNames())('%s', (name) => {
  const provider = chatProviderOf(name)
  const wire = wireOf(name)

  test('A stream means the same however it is cut.', () => {
    const cut = fc.tuple(fc.integer({ min: 1, max: 1e9 }), fc.integer({ min: 1, max: 200 }))
    fc.assert(
      fc.property(said, quirks, cut, (answer, odd, [seed, mean]) => {
        const stream = wire.stream(answer, odd)
        const expected = read(provider, stream, whole)
        for (const split of [seeded(seed, mean), everyByte, awkward])
          expect(read(provider, stream, split)).toEqual(expected)
      }),
      { numRuns: 60 },
    )
  })

  test('A stream says what was said, ends once, and keeps its usage back.', () => {
    fc.assert(
      fc.property(said, quirks, (answer, odd) => {
        const { out, error, reading, finishReasons, usageFrame } = read(provider, wire.stream(answer, odd), whole)
        expect(error).toBeNull()
        expect(out.split('\n\n').every((frame) => frame === '' || /^data: \{[^\n\r]*\}$/.test(frame))).toBe(true)
        const chunks = eventsOf(Buffer.from(out)).map(({ json }) => json)
        const choices = chunks.flatMap(choicesOf)
        expect(chunks.filter((chunk) => choicesOf(chunk).length === 0)).toEqual([])
        expect(joined(choices, 'content')).toBe(answer.text.join(''))
        expect(joined(choices, 'reasoning_content')).toBe(answer.thoughts.join(''))
        expect(callsIn(choices)).toEqual(answer.tool === null ? [] : [answer.tool])
        expect(finishReasons).toEqual([answer.finish])
        expect(choices.map((choice) => choice.finish_reason ?? null).filter((reason) => reason !== null)).toEqual([
          answer.finish,
        ])
        expect(choices.map(({ delta }) => delta?.role).filter((role) => typeof role === 'string')).toEqual([
          'assistant',
        ])
        expect(reading.usage).toEqual({ ...wire.meaning(answer.counts), toolFees: {} })
        expect(reading.consistent).toBe(true)
        expect(out).not.toContain('"usage":{')
        const shown = eventsOf(Buffer.from(usageFrame))[0]?.json
        expect(shown?.choices).toEqual([])
        expect([...chunks, shown].filter((chunk) => chunk?.model !== ASKED)).toEqual([])
        expect(reading.model).toBe(MODEL)
        expect(object(shown?.usage)).toMatchObject({ ...shownCounts(answer.counts), cost: 0.5 })
      }),
      { numRuns: 60 },
    )
  })

  test('A stream that breaks off anywhere leaves whole frames behind.', () => {
    const answer: Said = {
      thoughts: ['Hm'],
      text: ['Hé', 'llo 😀'],
      tool: { name: 'look_up', arguments: '{"of":1}' },
      finish: 'tool_calls',
      counts: { input: 11, cacheRead: 2, cacheWrite: 0, output: 5, reasoning: 1 },
    }
    const stream = wire.stream(answer, ODD)
    for (let length = 0; length <= stream.length; length += 1) {
      const { out } = read(provider, stream.subarray(0, length), whole)
      expect(out, `cut after ${length} bytes`).toMatch(/^(?:data: \{[^\n\r]*\n\n)*$/)
    }
  })

  test('Of random usage, the buckets sum to the total that was stated.', () => {
    fc.assert(
      fc.property(counts, (random) => {
        const { usage, consistent } = readResponse(provider, wire.answerWith(wire.usage(random))).reading
        expect(usage).toEqual({ ...wire.meaning(random), toolFees: {} })
        expect(consistent).toBe(true)
        expect(inputTokens(usage!) + outputTokens(usage!)).toBe(
          random.input + random.cacheRead + random.cacheWrite + random.output,
        )
      }),
    )
  })

  test('Usage that makes no sense is missing or cut down to what it is a part of, never a reason to throw.', () => {
    const nonsense = fc.oneof(
      tokens,
      fc.constantFrom(null, -1, 1.5, 1e300, '12', true, [], {}, Number.MAX_SAFE_INTEGER, '9'.repeat(400)),
    )
    const broken = fc.tuple(counts, fc.array(fc.tuple(fc.nat(), nonsense), { minLength: 1, maxLength: 4 }))
    fc.assert(
      fc.property(broken, ([random, changes]) => {
        const stated = structuredClone(wire.usage(random))
        for (const [place, value] of changes) replaceAt(stated, place, value)
        const answer = provider.chat.readResponse(wire.answerWith(stated), contextFor(false))
        if (answer === null || 'kind' in answer) return
        const { usage, cost } = answer.reading
        if (usage !== null) expectBuckets(usage)
        expect(cost === null || cost >= 0n).toBe(true)
      }),
      { numRuns: 500 },
    )
  })

  test.each([[null], ['none'], [7], [[]], [{}], [{ prompt_tokens: {}, input_tokens: {}, promptTokenCount: {} }]])(
    'Usage %j is none.',
    (usage) => {
      const answer = readResponse(provider, wire.answerWith(usage))
      expect(answer.reading.usage).toBeNull()
      expect(answer.outputText()).toBe('Hello')
    },
  )
})

function readResponse(provider: ChatProvider, body: Buffer): ProviderResponse {
  const answer = provider.chat.readResponse(body, contextFor(false))
  if (answer === null || 'kind' in answer) throw new Error(`not read: ${body.toString()}`)
  return answer
}

function joined(choices: readonly Json[], member: string): string {
  return choices.map(({ delta }) => object(delta)?.[member] ?? '').join('')
}

function callsIn(choices: readonly Json[]): unknown[] {
  const parts = choices.flatMap(({ delta }) => (object(delta)?.tool_calls ?? []) as Json[])
  const calls: { name: string; arguments: string }[] = []
  for (const part of parts) {
    const { name = '', arguments: args = '' } = (part.function ?? {}) as { name?: string; arguments?: string }
    const index = Number(part.index)
    const call = calls[index] ?? { name: '', arguments: '' }
    calls[index] = { name: call.name + name, arguments: call.arguments + args }
  }
  return calls
}

/** In OpenAI's meaning, whatever the provider's was. */
function shownCounts({ input, cacheRead, cacheWrite, output }: Counts): Json {
  const prompt = input + cacheRead + cacheWrite
  return { prompt_tokens: prompt, completion_tokens: output, total_tokens: prompt + output }
}

function expectBuckets({ toolFees, ...buckets }: Usage): void {
  for (const value of [...Object.values(buckets), ...Object.values(toolFees)])
    expect(Number.isSafeInteger(value) && value >= 0, `${value} tokens`).toBe(true)
  expect(buckets.reasoning).toBeLessThanOrEqual(buckets.output)
}

/** Puts a value in the place of one member, however deep it is. */
function replaceAt(root: Json, place: number, value: unknown): void {
  const places: [Json, string][] = []
  const walk = (value: Json) => {
    for (const [key, member] of Object.entries(value)) {
      places.push([value, key])
      const inner = object(member)
      if (inner !== null) walk(inner)
    }
  }
  walk(root)
  const [owner, key] = places[place % places.length] ?? [root, 'none']
  owner[key] = value
}
