/** Bytes no provider should send: they are never a reason to throw, to wait for ever, to keep without bound, or to lie. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { google } from '../../providers/google.ts'
import type { ResponseContext } from '../../providers/provider.ts'
import { parseRequest } from '../../src/endpoints/chat-completions/read-request.ts'
import { TollgateError } from '../../src/http/errors.ts'

const CONTEXT: ResponseContext = {
  request: parseRequest(Buffer.from('{"model":"m","messages":[{"role":"user","content":"x"}],"stream":true}')),
  model: 'gemini-3-flash-preview',
  choices: 2,
  callId: '01234567-89ab-4cde-8f01-23456789abcd',
  created: 1,
}

const grounding = {
  webSearchQueries: ['q'],
  groundingChunks: [{ web: { uri: 'https://x.example', title: 'X' } }],
  groundingSupports: [{ segment: { endIndex: 3 }, groundingChunkIndices: [0] }],
}
const NATIVE = [
  {
    candidates: [{ content: { parts: [{ text: 'Grüße 🎉', thought: true }] }, index: 0 }],
    usageMetadata: { promptTokenCount: 9 },
  },
  {
    candidates: [
      {
        content: {
          parts: [{ text: 'a' }, { functionCall: { name: 'f', args: { n: 1.5 } }, thoughtSignature: 'AAAA' }],
        },
      },
    ],
  },
  {
    candidates: [
      {
        content: { parts: [{ executableCode: { code: 'x' } }, { inlineData: { mimeType: 'image/png', data: 'AA' } }] },
        index: 1,
      },
    ],
  },
  {
    candidates: [
      {
        finishReason: 'STOP',
        index: 1,
        groundingMetadata: grounding,
        citationMetadata: { citationSources: [{ uri: 'u' }] },
      },
    ],
  },
  {
    candidates: [{ finishReason: 'STOP', logprobsResult: { chosenCandidates: [{ token: 'a' }] } }],
    usageMetadata: { promptTokenCount: 9, candidatesTokenCount: 4, totalTokenCount: 13 },
  },
]
const COMPATIBLE = [
  {
    choices: [
      { index: 0, delta: { role: 'assistant', tool_calls: [{ id: '', function: { name: 'f', arguments: '{}' } }] } },
    ],
    model: 'gemini',
  },
  {
    choices: [{ index: 0, delta: {}, finish_reason: 'stop' }],
    usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 9 },
  },
]
const streamOf = (chunks: unknown[]) =>
  Buffer.from(chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\r\n\r\n`).join(''))
const SEEDS = [streamOf(NATIVE), streamOf(COMPATIBLE), streamOf([...NATIVE, ...COMPATIBLE])]

type Mutation = (bytes: Buffer) => Buffer
const at = (bytes: Buffer, where: number) => Math.floor(where * bytes.length)
const place = fc.double({ min: 0, max: 0.999, noNaN: true })
const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.tuple(place, fc.nat(255)).map(
    ([where, byte]): Mutation =>
      (bytes) => {
        const copy = Buffer.from(bytes)
        if (copy.length > 0) copy[at(copy, where)] = byte
        return copy
      },
  ),
  fc.tuple(place, place).map(
    ([a, b]): Mutation =>
      (bytes) => {
        const [from, to] = [at(bytes, Math.min(a, b)), at(bytes, Math.max(a, b))]
        return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)])
      },
  ),
  fc.tuple(place, place).map(
    ([a, b]): Mutation =>
      (bytes) =>
        Buffer.concat([bytes.subarray(0, at(bytes, a)), bytes.subarray(at(bytes, b))]),
  ),
  fc
    .tuple(
      place,
      fc.constantFrom('null', '[]', '{}', '"', '-1', '1e999', '\n\n', 'data: [DONE]\n\n', '{"error":{}}', '\u0000'),
    )
    .map(
      ([where, inserted]): Mutation =>
        (bytes) =>
          Buffer.concat([bytes.subarray(0, at(bytes, where)), Buffer.from(inserted), bytes.subarray(at(bytes, where))]),
    ),
)
/** Values of the wrong kind in places of the right one. */
const twisted = fc
  .tuple(fc.constantFrom(...NATIVE, ...COMPATIBLE), fc.nat(30), fc.constantFrom(null, 0, -1, 'x', [], {}, [null], true))
  .map(([chunk, nth, value]) => {
    let left = nth
    return JSON.parse(JSON.stringify(chunk), (_, old: unknown) => (left-- === 0 ? value : old)) as unknown
  })

function readAll(bytes: Buffer, size: number): void {
  const reader = google.chat.readStream(CONTEXT)
  const passes = bytes.includes('"choices"')
  const out: Buffer[] = []
  let over = false
  for (let start = 0; start < bytes.length && !over; start += size) {
    const part = reader.push(Buffer.from(bytes.subarray(start, start + size)))
    if (part.bytes !== null) out.push(part.bytes)
    over = part.done || part.error !== null
  }
  const last = over ? null : reader.end()
  if (last?.bytes != null) out.push(last.bytes)
  out.push(reader.usageFrame('0.1', { total_tokens: 1 }), reader.stopFrames())
  for (const frame of Buffer.concat(out)
    .toString('utf8')
    .split('\n\n')
    .filter((one) => one !== '')) {
    expect(frame.startsWith('data: {')).toBe(true)
    // Frames of the compatible endpoint pass as they came, broken ones too.
    if (!passes) expect(Array.isArray((JSON.parse(frame.slice(6)) as { choices: unknown }).choices)).toBe(true)
  }
  const { usage } = reader.reading
  const { toolFees: fees, ...counts } = usage ?? { toolFees: {} }
  for (const count of [...Object.values(counts), ...Object.values(fees)])
    expect(Number.isSafeInteger(count) && count >= 0).toBe(true)
  expect(typeof reader.outputText() + typeof reader.textSince(0).text).toBe('stringstring')
}

describe('mutated streams', () => {
  it('Mutated streams are read to their end.', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...SEEDS),
        fc.array(mutation, { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 400 }),
        (seed, mutations, size) => {
          readAll(
            mutations.reduce<Buffer>((bytes, mutate) => mutate(bytes), seed),
            size,
          )
        },
      ),
      { numRuns: 500 },
    )
  })

  it('Streams with values of the wrong kind are read to their end too.', () => {
    fc.assert(
      fc.property(fc.array(twisted, { minLength: 1, maxLength: 4 }), (chunks) => {
        readAll(streamOf(chunks), 1_000)
        for (const chunk of chunks) {
          const answer = google.chat.readResponse(Buffer.from(JSON.stringify(chunk)), CONTEXT)
          if (answer !== null && 'body' in answer) JSON.parse(answer.body('0', {}).toString())
          google.readError(400, {}, Buffer.from(JSON.stringify(chunk)))
        }
      }),
      { numRuns: 500 },
    )
  })

  it('An endless line is refused at a limit.', () => {
    const reader = google.chat.readStream(CONTEXT)
    const piece = Buffer.alloc(1024 * 1024, 'x')
    expect(() => {
      for (let pushed = 0; pushed < 40; pushed += 1) reader.push(piece)
    }).toThrow(RangeError)
  })
})

describe('odd requests', () => {
  it('Odd requests are refused or translated, and never crash.', () => {
    const value = fc.jsonValue({ maxDepth: 3 })
    const message = fc.record(
      {
        role: fc.constantFrom('system', 'user', 'assistant', 'tool', 'x'),
        content: fc.oneof(
          value,
          fc.array(
            fc.record(
              {
                type: fc.constantFrom('text', 'image_url', 'input_audio', 'file'),
                text: value,
                image_url: value,
                input_audio: value,
                file: value,
              },
              { requiredKeys: ['type'] },
            ),
          ),
        ),
        tool_calls: fc.oneof(value, fc.array(fc.record({ id: value, function: value }, { requiredKeys: [] }))),
        extra_content: value,
        images: value,
      },
      { requiredKeys: ['role'] },
    )
    const members = fc.record(
      {
        tools: value,
        tool_choice: value,
        response_format: value,
        stop: value,
        extra_body: value,
        reasoning_effort: value,
        modalities: value,
        n: fc.constantFrom(1, 2),
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(fc.array(message, { minLength: 1, maxLength: 4 }), members, (messages, rest) => {
        const request = readOrNull({ model: 'm', messages, ...rest })
        if (request === null) return
        for (const refusal of google.chat.refuses(request.json, 'gemini-2.5-pro')) expect(refusal.message).not.toBe('')
        google.chat.serverTools(request.json, 'gemini-2.5-pro')
        for (const apiBase of [null, 'https://x.example/v1beta/openai']) {
          const call = {
            request,
            model: 'gemini-3-pro',
            apiKey: null,
            apiBase,
            organization: null,
            extraHeaders: {},
            defaults: {},
            outputCap: 5,
            drop: [],
            dropAt: [],
            maxPrice: null,
            askUsage: true,
          }
          JSON.parse(google.chat.prepare(call).body.toString())
        }
      }),
      { numRuns: 300 },
    )
  })
})

/** Null for what is refused before any provider sees it. */
function readOrNull(body: object): ReturnType<typeof parseRequest> | null {
  try {
    return parseRequest(Buffer.from(JSON.stringify(body)))
  } catch (error) {
    if (error instanceof TollgateError) return null
    throw error
  }
}
