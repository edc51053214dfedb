import { describe, expect, it } from 'vitest'
import { google } from '../../providers/google.ts'
import type { ProviderError, ResponseContext, StreamReader } from '../../providers/provider.ts'
import { parseRequest } from '../../src/endpoints/chat-completions/read-request.ts'

type Json = Record<string, unknown>

const request = parseRequest(
  Buffer.from('{"model":"gemini","messages":[{"role":"user","content":"Hi"}],"stream":true}'),
)
const CONTEXT: ResponseContext = {
  request,
  model: 'gemini-2.5-flash',
  choices: 1,
  callId: '01234567-89ab-4cde-8f01-23456789abcd',
  created: 1_700_000_000,
}

const frame = (chunk: unknown) => `data: ${JSON.stringify(chunk)}\r\n\r\n`
const says = (parts: Json[], more: Json = {}) => ({ content: { parts, role: 'model' }, index: 0, ...more })
const usage = (prompt: number, answer: number, thoughts = 0) => ({
  promptTokenCount: prompt,
  ...(answer > 0 ? { candidatesTokenCount: answer } : {}),
  ...(thoughts > 0 ? { thoughtsTokenCount: thoughts } : {}),
  totalTokenCount: prompt + answer + thoughts,
})
const chunk = (parts: Json[], usageMetadata: Json | null, more: Json = {}) =>
  frame({
    candidates: [says(parts, more)],
    ...(usageMetadata === null ? {} : { usageMetadata }),
    responseId: 'r1',
    modelVersion: 'gemini-2.5-flash',
  })

interface Result {
  reader: StreamReader
  text: string
  chunks: { choices: { index: number; delta: Json; finish_reason: string | null }[]; usage?: Json }[]
  done: boolean
  error: ProviderError | null
}

function play(pieces: readonly (string | Buffer)[], context = CONTEXT): Result {
  const reader = google.chat.readStream(context)
  const out: Buffer[] = []
  let part = { bytes: null as Buffer | null, done: false, error: null as ProviderError | null }
  const take = (next: typeof part) => {
    part = next
    if (part.bytes !== null) out.push(part.bytes)
  }
  for (const piece of pieces) if (!part.done && part.error === null) take(reader.push(Buffer.from(piece)))
  if (!part.done && part.error === null) take(reader.end())
  const text = Buffer.concat(out).toString('utf8')
  const frames = text.split('\n\n').filter((one) => one !== '')
  if (!frames.every((one) => one.startsWith('data: {'))) throw new Error(`not canonical: ${text}`)
  return { reader, text, chunks: frames.map((one) => JSON.parse(one.slice(6))), done: part.done, error: part.error }
}

const deltas = ({ chunks }: Result) => chunks.map(({ choices }) => choices[0]?.delta)
const content = (result: Result) =>
  deltas(result)
    .map((delta) => delta?.content ?? '')
    .join('')
const finishes = ({ chunks }: Result) =>
  chunks.flatMap(({ choices }) => choices.flatMap((choice) => choice.finish_reason ?? []))

describe('a stream', () => {
  const stream = [
    chunk([{ text: 'Think – ', thought: true }], usage(9, 0)),
    chunk([{ text: 'Grüße 🎉 ' }], usage(9, 4, 12)),
    chunk([{ text: 'a' }, { text: 'b' }], usage(9, 6, 12)),
    chunk([{ text: '', thoughtSignature: 'AAAA' }], usage(9, 6, 12), { finishReason: 'STOP' }),
  ].join('')

  it('A stream becomes chunks of OpenAI with one role, one finish reason, and no usage.', () => {
    const result = play([stream])
    const head = { id: 'r1', object: 'chat.completion.chunk', created: 1_700_000_000, model: 'gemini' }
    const one = (delta: Json, finish_reason: string | null = null) => ({
      ...head,
      choices: [{ index: 0, delta, logprobs: null, finish_reason }],
    })
    expect(result.chunks).toEqual([
      one({ role: 'assistant', content: null, reasoning_content: 'Think – ' }),
      one({ content: 'Grüße 🎉 ' }),
      one({ content: 'ab' }),
      one({ extra_content: { google: { thought_signature: 'AAAA' } } }),
      one({}, 'stop'),
    ])
    const { reader } = result
    expect([result.done, result.error, reader.frames, reader.finishReasons]).toEqual([true, null, 3, ['stop']])
    expect(reader.reading.usage).toMatchObject({ input: 9, output: 18, reasoning: 12 })
    expect(reader.outputText()).toBe('')
    const shown = JSON.parse(reader.usageFrame('0.5', {}).toString().slice(6))
    expect([shown.choices, shown.usage.completion_tokens, shown.usage.cost, shown.id]).toEqual([[], 18, 0.5, 'r1'])
  })

  it('A stream reads the same wherever the network cuts it.', () => {
    const bytes = Buffer.from(stream)
    const whole = play([bytes]).text
    for (let at = 0; at <= bytes.length; at += 1)
      expect(play([bytes.subarray(0, at), bytes.subarray(at)]).text).toBe(whole)
    expect(play([...bytes].map((byte) => Buffer.from([byte]))).text).toBe(whole)
    expect(play([stream.replaceAll('\r\n', '\n')]).text).toBe(whole)
    expect(
      play([stream.replaceAll('data: ', 'data:').replaceAll('}\r\n\r\n', '}   \r\n\r\n: ping\r\n\r\n')]).text,
    ).toBe(whole)
    expect(
      play([
        `[${stream
          .split('\r\n\r\n')
          .filter((one) => one)
          .map((one) => one.slice(6))
          .join(',\r\n')}]`,
      ]).text,
    ).toBe(whole)
  })

  it('A stream goes on after a finish reason, and ends with the last one.', () => {
    const result = play([
      chunk([{ text: 'One' }], usage(9, 1), { finishReason: 'STOP' }),
      chunk([{ text: 'Two' }], usage(300, 2), { finishReason: 'MAX_TOKENS' }),
    ])
    expect([content(result), finishes(result), result.reader.reading.usage?.input]).toEqual(['OneTwo', ['length'], 300])
  })

  it('Usage may fall: the last counts.', () => {
    const result = play([
      chunk([{ text: 'a' }], usage(169, 0)),
      chunk([{ text: 'b' }], usage(79, 12), { finishReason: 'STOP' }),
    ])
    expect(result.reader.reading.usage).toMatchObject({ input: 79, output: 12 })
  })

  it('While a stream runs, text is covered by usage only where the response was counted in it.', () => {
    const reader = google.chat.readStream(CONTEXT)
    reader.push(Buffer.from(chunk([{ text: 'abc' }], usage(169, 0))))
    expect([reader.outputText(), reader.reading.usage?.output]).toEqual(['abc', 0])
    const first = reader.textSince(0)
    expect(first.text).toBe('abc')
    reader.push(Buffer.from(chunk([{ text: 'def' }], null)))
    expect(reader.textSince(first.position).text).toBe('def')
    reader.push(Buffer.from(chunk([{ text: 'ghi' }], usage(79, 5))))
    expect([reader.outputText(), reader.textSince(0).text, reader.reading.usage?.output]).toEqual(['', '', 5])
  })

  it('A last frame without answer tokens is billed as it is, and said to contradict itself.', () => {
    const result = play([
      chunk([{ text: 'abc' }], usage(9, 2)),
      chunk([{ text: '' }], usage(87, 0, 78), { finishReason: 'STOP' }),
    ])
    const { reading } = result.reader
    expect([reading.usage?.input, reading.usage?.output, reading.consistent, result.reader.outputText()]).toEqual([
      87,
      78,
      false,
      '',
    ])
  })

  it('Tool calls are numbered from 0, whole, and end the choice with tool_calls.', () => {
    const call = (name: string, more: Json = {}) => ({ functionCall: { name, args: { a: 1 } }, ...more })
    const result = play([
      chunk([call('x', { thoughtSignature: 'AAAA' })], usage(9, 1)),
      chunk([call('y')], usage(9, 2)),
      chunk([{ text: '' }], usage(9, 2), { finishReason: 'STOP' }),
    ])
    const calls = deltas(result).flatMap((delta) => (delta?.tool_calls as Json[] | undefined) ?? [])
    expect(calls.map(({ index, id }) => [index, id])).toEqual([
      [0, 'call_0123456789ab4cde8f012345_0__gsig_AAAA'],
      [1, 'call_0123456789ab4cde8f012345_1'],
    ])
    expect(finishes(result)).toEqual(['tool_calls'])
  })

  it('Choices are told apart.', () => {
    const at = (index: number, text: string, more: Json = {}) => ({ content: { parts: [{ text }] }, index, ...more })
    const both = frame({ candidates: [at(0, 'a'), at(1, 'b')] })
    const end = frame({
      candidates: [at(1, 'd', { finishReason: 'STOP' }), at(0, 'c', { finishReason: 'MAX_TOKENS' })],
      usageMetadata: usage(1, 2),
    })
    const { chunks } = play([both + end], { ...CONTEXT, choices: 2 })
    const said = (index: number) =>
      chunks
        .flatMap(({ choices }) => choices)
        .filter((choice) => choice.index === index)
        .map(({ delta }) => delta.content ?? '')
    expect([said(0).join(''), said(1).join('')]).toEqual(['ac', 'bd'])
  })

  it('A blocked prompt is one filtered choice.', () => {
    const result = play([frame({ promptFeedback: { blockReason: 'SAFETY' }, usageMetadata: usage(9, 0) })])
    expect(deltas(result)).toEqual([{ role: 'assistant', content: '' }, {}])
    expect([finishes(result), result.reader.reading.usage?.input]).toEqual([['content_filter'], 9])
  })

  it('A prompt that was billed for no answer at all is a response that says so.', () => {
    const result = play([frame({ usageMetadata: usage(9, 0), modelVersion: 'gemini-2.5-flash' })])
    expect(deltas(result)[0]?.refusal).toBe('The model gave no answer (NO_CANDIDATES)')
    expect([finishes(result), result.done, result.reader.reading.usage?.input]).toEqual([['stop'], true, 9])
  })

  it('A malformed call is an error, not an empty success.', () => {
    const result = play([
      frame({
        candidates: [{ finishReason: 'MALFORMED_FUNCTION_CALL', finishMessage: 'print(' }],
        usageMetadata: usage(9, 3),
      }),
    ])
    expect(deltas(result)[0]).toEqual({
      role: 'assistant',
      content: '',
      refusal: 'The model gave no answer (MALFORMED_FUNCTION_CALL): print(',
    })
    expect(finishes(result)).toEqual(['stop'])
  })

  it.each([
    ['nothing', []],
    ['text without a finish reason', [chunk([{ text: 'a' }], usage(9, 1))]],
    ['half a frame', [chunk([{ text: 'a' }], usage(9, 1)).slice(0, -30)]],
  ])('A finish reason of %s at the end of a stream is an error.', (_, pieces) => {
    const { done, error } = play(pieces)
    expect([done, error?.kind]).toEqual([false, 'failed'])
  })

  it('An error in the middle keeps what was stated.', () => {
    const failed = { error: { code: 503, message: 'The model is overloaded.', status: 'UNAVAILABLE' } }
    for (const last of [
      frame(failed),
      JSON.stringify(failed),
      JSON.stringify([failed]),
      `event: error\ndata: ${JSON.stringify(failed)}\n\n`,
    ]) {
      const { reader, error } = play([chunk([{ text: 'a' }], usage(9, 1)), last])
      expect([error?.kind, reader.reading.usage?.output]).toEqual(['overloaded', 1])
    }
  })

  it('A stream can be stopped.', () => {
    const reader = google.chat.readStream({ ...CONTEXT, choices: 2 })
    reader.push(Buffer.from(chunk([{ text: 'a' }], usage(9, 1))))
    const frames = reader
      .stopFrames()
      .toString()
      .split('\n\n')
      .filter((one) => one !== '')
    expect(frames.map((one) => JSON.parse(one.slice(6)).choices[0])).toEqual(
      [0, 1].map((index) => ({ index, delta: {}, logprobs: null, finish_reason: 'length' })),
    )
  })

  it('Sources come at the end of a stream.', () => {
    const groundingMetadata = {
      webSearchQueries: ['q'],
      groundingChunks: [{ web: { uri: 'https://x.example', title: 'X' } }],
    }
    const result = play([
      chunk([{ text: 'abc' }], usage(9, 1)),
      chunk([{ text: 'd' }], usage(9, 2), { finishReason: 'STOP', groundingMetadata }),
    ])
    expect(deltas(result).at(-2)?.annotations).toEqual([
      {
        index: 0,
        type: 'url_citation',
        url_citation: { url: 'https://x.example', title: 'X', start_index: 0, end_index: 4 },
      },
    ])
    expect(result.reader.reading.usage?.toolFees).toEqual({ web_search: 1 })
  })
})

describe("a stream of Google's OpenAI-compatible endpoint", () => {
  const compatible = (choice: Json, more: Json = {}) =>
    `data: ${JSON.stringify({ id: 'i', object: 'chat.completion.chunk', created: 1, model: 'gemini-2.5-flash', choices: [{ index: 0, ...choice }], ...more })}\n\n`
  const call = (name: string, id: string) => ({ function: { name, arguments: '{}' }, id, type: 'function' })
  const stream = [
    compatible({ delta: { role: 'assistant', content: 'é' } }),
    compatible({
      delta: {
        tool_calls: [call('a', ''), { ...call('b', 'own'), extra_content: { google: { thought_signature: 'AAAA' } } }],
      },
    }),
    compatible({ delta: { role: 'assistant', tool_calls: [call('c', '')] } }),
    compatible(
      { delta: {}, finish_reason: 'stop' },
      { usage: { prompt_tokens: 150, completion_tokens: 37, total_tokens: 261 } },
    ),
    'data: [DONE]\n\n',
  ].join('')

  it("A stream of Google's OpenAI-compatible endpoint gets indexes, ids and the right finish reason; thoughts are billed.", () => {
    const result = play([stream])
    const calls = deltas(result).flatMap((delta) => (delta?.tool_calls as Json[] | undefined) ?? [])
    expect(calls.map(({ index, id }) => [index, id])).toEqual([
      [0, 'call_0123456789ab4cde8f012345_0'],
      [1, 'own__gsig_AAAA'],
      [2, 'call_0123456789ab4cde8f012345_2'],
    ])
    expect([finishes(result), result.done, content(result)]).toEqual([['tool_calls'], true, 'é'])
    expect(deltas(result).filter((delta) => delta !== undefined && 'role' in delta).length).toBe(1)
    expect([result.reader.reading.usage?.input, result.reader.reading.usage?.output]).toEqual([150, 111])
  })

  it("A stream of Google's OpenAI-compatible endpoint reads the same wherever the network cuts it.", () => {
    const bytes = Buffer.from(stream)
    const whole = play([bytes]).text
    for (let at = 0; at <= bytes.length; at += 1)
      expect(play([bytes.subarray(0, at), bytes.subarray(at)]).text).toBe(whole)
  })
})
