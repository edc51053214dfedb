import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { anthropic } from '../../providers/anthropic.ts'
import type { ProviderError, StreamReader } from '../../providers/provider.ts'
import { parseRequest } from '../../src/endpoints/chat-completions/read-request.ts'
import { awkward, every, everyByte, type Split, seeded, whole } from '../support/splits.ts'

type Json = Record<string, unknown>

const request = parseRequest(Buffer.from('{"model":"m","messages":[{"role":"user","content":"Hi"}],"stream":true}'))
const context = { request, model: 'claude-haiku-4-5', choices: 1, callId: 'c1', created: 1_700_000_000 }
const SPLITS: [string, Split][] = [
  ['whole', whole],
  ['every byte', everyByte],
  ['every 7 bytes', every(7)],
  ['awkward', awkward],
  ['random', seeded(3)],
]

/** An event as the wire has it, padding and all. */
const event = (type: string, members: Json = {}) =>
  `event: ${type}\ndata: ${JSON.stringify({ type, ...members })}  \n\n`
const start = (usage: unknown = { input_tokens: 10, output_tokens: 1 }, id = 'msg_1') =>
  event('message_start', { message: { id, model: 'claude-haiku-4-5-20251001', content: [], usage } })
const open = (index: number, content_block: Json) => event('content_block_start', { index, content_block })
const delta = (index: number, value: Json) => event('content_block_delta', { index, delta: value })
const close = (index: number) => event('content_block_stop', { index })
const text = (value: string, index = 0) => delta(index, { type: 'text_delta', text: value })
const args = (value: string, index = 0) => delta(index, { type: 'input_json_delta', partial_json: value })
const openText = (index = 0) => open(index, { type: 'text', text: '' })
const openTool = (id: string, name: string, index = 0) => open(index, { type: 'tool_use', id, name, input: {} })
const finish = (stop_reason = 'end_turn', usage: unknown = { output_tokens: 7 }, rest: Json = {}) =>
  event('message_delta', { delta: { stop_reason, stop_sequence: null, ...rest }, usage }) + event('message_stop')
const thought = (words: string, signature: string, index = 0) =>
  open(index, { type: 'thinking', thinking: '', signature: '' }) +
  delta(index, { type: 'thinking_delta', thinking: words }) +
  delta(index, { type: 'signature_delta', signature }) +
  close(index)

interface Read {
  reader: StreamReader
  bytes: string
  done: boolean
  error: ProviderError | null
}

function read(stream: string | Buffer, split: Split = whole): Read {
  const reader = anthropic.chat.readStream(context)
  const out: Buffer[] = []
  let done = false
  let error: ProviderError | null = null
  for (const part of [...split(Buffer.from(stream)).map((chunk) => reader.push(chunk)), reader.end()]) {
    if (part.bytes !== null) out.push(part.bytes)
    done ||= part.done
    error ??= part.error
  }
  return { reader, bytes: Buffer.concat(out).toString(), done, error }
}

interface Choice {
  delta: Json
  finish_reason: string | null
  native_finish_reason?: string
}

/** The one choice of each chunk; every frame has to have the canonical form. */
function choices(bytes: string): Choice[] {
  expect(bytes === '' || bytes.endsWith('\n\n')).toBe(true)
  return bytes
    .split('\n\n')
    .filter((frame) => frame !== '')
    .map((frame) => {
      expect(frame).toMatch(/^data: \{/)
      const chunk = JSON.parse(frame.slice(6)) as { choices: Choice[] }
      expect(chunk).toMatchObject({ object: 'chat.completion.chunk', created: 1_700_000_000, choices: [{ index: 0 }] })
      return chunk.choices[0]!
    })
}

const deltas = (stream: string, split?: Split) => choices(read(stream, split).bytes).map((choice) => choice.delta)
const ROLE = { role: 'assistant', content: '' }

describe('a stream of Claude', () => {
  const stream = start() + openText() + event('ping') + text('Hé') + text('llo 👋') + close(0) + finish()

  test.each(SPLITS)('A stream of Claude becomes chunks, cut %s.', (_, split) => {
    const { bytes, done, error, reader } = read(stream, split)
    expect(bytes).toBe(
      ['{"role":"assistant","content":""}', '{"content":"Hé"}', '{"content":"llo 👋"}', '{}']
        .map(
          (value, i) =>
            `data: {"id":"msg_1","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[{"index":0,"delta":${value},"logprobs":null,"finish_reason":${i === 3 ? '"stop"' : 'null'}}]}\n\n`,
        )
        .join(''),
    )
    expect({ done, error, frames: reader.frames }).toEqual({ done: true, error: null, frames: 2 })
    expect(reader.finishReasons).toEqual(['stop'])
    expect(reader.reading).toMatchObject({ usage: { input: 10, output: 7 }, model: 'claude-haiku-4-5-20251001' })
    expect(reader.outputText()).toBe('')
  })

  test('A stream of Claude holds everything back until there is content, so that a call that fails before can be made again.', () => {
    const reader = anthropic.chat.readStream(context)
    expect(reader.push(Buffer.from(start() + openText() + event('ping'))).bytes).toBeNull()
    const { bytes, error } = reader.push(
      Buffer.from(event('error', { error: { type: 'overloaded_error', message: 'Overloaded' } })),
    )
    expect(bytes).toBeNull()
    expect(error).toMatchObject({ kind: 'overloaded', message: 'Anthropic is overloaded. Try again shortly.' })
  })

  test('A stream of Claude that fails in the middle keeps its input, and what it said is counted.', () => {
    const broken = start({ input_tokens: 812, output_tokens: 1 }) + openText() + text('The answer')
    const overloaded = event('error', { error: { type: 'overloaded_error', message: 'Overloaded' } })
    const { reader, error } = read(broken + overloaded + text('more'))
    expect(error?.kind).toBe('overloaded')
    expect(reader.reading.usage).toMatchObject({ input: 812, output: 0 })
    expect(reader.outputText()).toBe('The answer')
    expect(reader.finishReasons).toEqual([])
  })

  test.each([
    ['nothing', ''],
    ['no end', start() + openText() + text('x')],
  ])('A stream of Claude with %s is broken off.', (_, broken) => {
    expect(read(broken)).toMatchObject({ done: false, error: { kind: 'failed' } })
  })

  test('A stream of Claude is over with its stop reason, should the last event be missing.', () => {
    const { done, error } = read(stream.replace(event('message_stop'), ''))
    expect({ done, error }).toEqual({ done: true, error: null })
  })

  test('A stream of Claude ends once, and nothing follows.', () => {
    const { bytes, reader } = read(stream + text('more') + finish('max_tokens'))
    expect(choices(bytes).filter((choice) => choice.finish_reason !== null)).toHaveLength(1)
    expect(reader.finishReasons).toEqual(['stop'])
  })

  test.each<[string, string, string | undefined]>([
    ['max_tokens', 'length', undefined],
    ['refusal', 'content_filter', 'refusal'],
    ['pause_turn', 'stop', 'pause_turn'],
  ])('A stream of Claude has its finish reason: it ends with %s.', (reason, word, native) => {
    const last = choices(read(start() + openText() + text('x') + finish(reason)).bytes).at(-1)
    expect([last?.finish_reason, last?.native_finish_reason]).toEqual([word, native])
  })

  test('A stream of Claude that declines says why, though it says nothing else.', () => {
    const declined = start() + finish('refusal', { output_tokens: 5 }, { stop_details: { explanation: 'Blocked.' } })
    expect(choices(read(declined).bytes).map((choice) => [choice.delta, choice.finish_reason])).toEqual([
      [ROLE, null],
      [{ refusal: 'Blocked.' }, null],
      [{}, 'content_filter'],
    ])
  })

  test('A stream of Claude states its usage at the end, over what it began with.', () => {
    const began = {
      input_tokens: 43,
      output_tokens: 3,
      cache_creation_input_tokens: 9,
      cache_creation: { ephemeral_1h_input_tokens: 9, ephemeral_5m_input_tokens: 0 },
    }
    const ended = { input_tokens: 61, output_tokens: 7, cache_creation_input_tokens: 9, service_tier: 'standard' }
    const { reader } = read(start(began) + openText() + text('x') + finish('end_turn', ended))
    expect(reader.reading).toMatchObject({
      usage: { input: 61, cacheWrite1h: 9, cacheWrite5m: 0, output: 7 },
      serviceTier: 'standard',
    })
    const frame = JSON.parse(reader.usageFrame('0.5', { prompt_tokens: 1 }).toString().slice(6))
    expect(frame).toMatchObject({ choices: [], usage: { prompt_tokens: 70, completion_tokens: 7, cost: 0.5 } })
  })

  test('A stream of Claude that ends without stating it is counted.', () => {
    const { reader } = read(start() + openText() + text('x') + finish('end_turn', null))
    expect(reader.reading.usage).toMatchObject({ input: 10, output: 0 })
    expect(reader.outputText()).toBe('x')
    const frame = JSON.parse(reader.usageFrame(null, { prompt_tokens: 10, completion_tokens: 1 }).toString().slice(6))
    expect(frame.usage).toEqual({ prompt_tokens: 10, completion_tokens: 1 })
  })

  test('A stream of Claude tells what it showed since a position.', () => {
    const reader = anthropic.chat.readStream(context)
    reader.push(Buffer.from(start() + openText() + text('a')))
    const first = reader.textSince(0)
    expect(first.text).toBe('a')
    reader.push(Buffer.from(text('b')))
    const second = reader.textSince(first.position)
    expect(second.text).toBe('b')
    reader.push(Buffer.from(finish()))
    expect(reader.textSince(second.position)).toEqual({ text: '', position: second.position })
  })

  test('A stream of Claude that is stopped by us is ended for the caller, once.', () => {
    const reader = anthropic.chat.readStream(context)
    reader.push(Buffer.from(start() + openText() + text('a')))
    expect(choices(reader.stopFrames().toString())).toMatchObject([{ delta: {}, finish_reason: 'length' }])
    expect(reader.stopFrames()).toHaveLength(0)
    expect(choices(anthropic.chat.readStream(context).stopFrames().toString()).map((choice) => choice.delta)).toEqual([
      ROLE,
      {},
    ])
  })
})

describe('tool calls in a stream', () => {
  const call = (index: number, id: string, name: string, value: string) => ({
    tool_calls: [{ index, id, type: 'function', function: { name, arguments: value } }],
  })

  test.each(SPLITS)('Tool calls in a stream are numbered from 0, each whole, cut %s.', (_, split) => {
    const stream =
      start() +
      openText() +
      text('I add') +
      close(0) +
      openTool('t1', 'add', 1) +
      args('', 1) +
      args('{"a":', 1) +
      args('1.0}', 1) +
      close(1) +
      openTool('t2', 'now', 2) +
      args('', 2) +
      close(2) +
      finish('tool_use')
    expect(deltas(stream, split)).toEqual([
      ROLE,
      { content: 'I add' },
      call(0, 't1', 'add', '{"a":1.0}'),
      call(1, 't2', 'now', '{}'),
      {},
    ])
  })

  test('Tool calls in a stream that are long go out as they come.', () => {
    const long = 'x'.repeat(1_100)
    const stream =
      start() + openTool('t1', 'write') + args(`{"t":"${long}`) + args('y"}') + close(0) + finish('tool_use')
    expect(deltas(stream)).toEqual([
      ROLE,
      call(0, 't1', 'write', `{"t":"${long}`),
      { tool_calls: [{ index: 0, function: { arguments: 'y"}' } }] },
      {},
    ])
  })

  test('Tool calls in a stream may have their arguments at the start.', () => {
    const whole = open(0, { type: 'tool_use', id: 't1', name: 'f', input: { a: 1 } })
    expect(deltas(start() + whole + close(0) + finish('tool_use'))[1]).toEqual(call(0, 't1', 'f', '{"a":1}'))
  })

  test('Tool calls in a stream of a message that begins a second time are those of the second.', () => {
    const first = start() + thought('one', 's1') + openTool('t1', 'f', 1) + args('{"a":', 1)
    const second = start(undefined, 'msg_2') + thought('two', 's2') + openTool('t2', 'f', 1) + args('{"a":2}', 1)
    const shown = deltas(first + second + close(1) + finish('tool_use'))
    const calls = shown.flatMap((value) => (value.tool_calls ?? []) as { id: string; function: Json }[])
    expect(calls).toHaveLength(1)
    expect(calls[0]).toMatchObject({ index: 0, function: { name: 'f', arguments: '{"a":2}' } })
    expect(calls[0]?.id).toMatch(/^t2__sig_/)
    expect(shown.at(-2)?.thinking_blocks).toEqual([{ type: 'thinking', thinking: 'two', signature: 's2' }])
  })

  test('A tool call that is half shown when a second message begins can not be taken back: the stream fails.', () => {
    const half = start() + openTool('t1', 'f') + args('x'.repeat(2_000))
    expect(read(half + start(undefined, 'msg_2')).error).toMatchObject({ kind: 'failed' })
  })

  test('Tool calls in a stream survive a message announced twice.', () => {
    const stream = start() + start() + openTool('t1', 'f') + args('{}') + start() + close(0) + finish('tool_use')
    expect(deltas(stream)[1]).toEqual(call(0, 't1', 'f', '{}'))
    expect(read(stream).reader.reading.usage).toMatchObject({ input: 10, output: 7 })
  })

  test('Tool calls in a stream that carry a response by a schema are shown as content.', () => {
    const stream =
      start() + openTool('t1', 'tollgate_answer') + args('{"a"') + args(':1}') + close(0) + finish('tool_use')
    expect(choices(read(stream).bytes).map((choice) => [choice.delta, choice.finish_reason])).toEqual([
      [ROLE, null],
      [{ content: '{"a"' }, null],
      [{ content: ':1}' }, null],
      [{}, 'stop'],
    ])
    const empty = start() + openTool('t1', 'tollgate_answer') + args('') + close(0) + finish('tool_use')
    expect(deltas(empty)[1]).toEqual({ content: '{}' })
  })
})

describe('thoughts in a stream', () => {
  test('Thoughts in a stream are shown as they come, and signed at the end, in their places.', () => {
    const stream =
      start() +
      thought('hm', 's1') +
      open(1, { type: 'redacted_thinking', data: 'xyz' }) +
      close(1) +
      openText(2) +
      text('A👋', 2) +
      close(2) +
      thought('', 's2', 3) +
      finish()
    expect(deltas(stream)).toEqual([
      ROLE,
      { reasoning_content: 'hm' },
      { content: 'A👋' },
      {
        thinking_blocks: [
          { type: 'thinking', thinking: 'hm', signature: 's1' },
          { type: 'redacted_thinking', data: 'xyz' },
          { type: 'thinking', thinking: '', signature: 's2', at: { text: 3, tools: 0 } },
        ],
      },
      {},
    ])
  })

  test('Thoughts in a stream and what server-side tools did are carried whole.', () => {
    const found = { type: 'web_search_tool_result', tool_use_id: 's', content: [{ encrypted_content: 'e' }] }
    const stream =
      start() +
      open(0, { type: 'server_tool_use', id: 's', name: 'web_search', input: {} }) +
      args('{"query":') +
      args('"q"}') +
      close(0) +
      open(1, found) +
      close(1) +
      open(2, { type: 'compaction', content: null }) +
      delta(2, { type: 'compaction_delta', content: 'short' }) +
      close(2) +
      openText(3) +
      text('x', 3) +
      finish()
    expect(deltas(stream).at(-2)?.thinking_blocks).toEqual([
      { type: 'server_tool_use', id: 's', name: 'web_search', input: { query: 'q' } },
      found,
      { type: 'compaction', content: 'short' },
    ])
  })

  test('Thoughts in a stream come with citations as annotations, once.', () => {
    const cite = (url: string) => delta(0, { type: 'citations_delta', citation: { url, title: 'T' } })
    const stream = start() + openText() + text('abc') + cite('https://x') + cite('https://y') + close(0) + finish()
    const place = { start_index: 0, end_index: 3, title: 'T' }
    expect(deltas(stream).filter((value) => 'annotations' in value)).toEqual([
      {
        annotations: [
          { type: 'url_citation', url_citation: { ...place, url: 'https://x' } },
          { type: 'url_citation', url_citation: { ...place, url: 'https://y' } },
        ],
      },
    ])
  })

  test('A fallback says who served.', () => {
    const changed = open(0, { type: 'fallback', from: { model: 'a' }, to: { model: 'claude-opus-4-8' } })
    expect(read(start() + changed + close(0) + finish()).reader.reading.model).toBe('claude-opus-4-8')
  })
})

describe('a stream that is damaged', () => {
  const sound =
    start() +
    thought('hm', 's1') +
    openText(1) +
    text('né 👋 "quoted"', 1) +
    close(1) +
    openTool('t1', 'f', 2) +
    args('{"a":[1,2]}', 2) +
    close(2) +
    finish('tool_use', { input_tokens: 10, output_tokens: 5 })

  test('The parts of a damaged stream that make no sense are skipped.', () => {
    const junk = 'data: null\n\ndata: {broken\n\ndata: 12\n\nevent: x\n\n: comment\n\nid: 5\ndata: {"type":5}\n\n'
    const odd =
      event('content_block_delta') + event('content_block_stop') + event('message_delta') + event('unheard_of')
    expect(read(junk + start() + odd + openText() + text('x') + close(0) + finish()).bytes).toBe(
      read(start() + openText() + text('x') + close(0) + finish()).bytes,
    )
  })

  test('A stream that is damaged never throws, never shows a broken frame, and never counts below zero.', () => {
    const bytes = Buffer.from(sound)
    const damage = fc.array(fc.record({ at: fc.nat(bytes.length - 1), byte: fc.nat(255) }), {
      minLength: 1,
      maxLength: 12,
    })
    fc.assert(
      fc.property(damage, fc.nat(bytes.length), fc.integer({ min: 1, max: 200 }), (hits, end, size) => {
        const hurt = Buffer.from(bytes.subarray(0, hits.length % 2 === 0 ? end : bytes.length))
        for (const { at, byte } of hits) if (at < hurt.length) hurt[at] = byte
        const { bytes: out, reader, error } = read(hurt, every(size))
        choices(out)
        expect(reader.finishReasons.length).toBe(error === null ? 1 : 0)
        for (const value of Object.values(reader.reading.usage ?? {}))
          if (typeof value === 'number') expect(value).toBeGreaterThanOrEqual(0)
        JSON.parse(reader.usageFrame('1', {}).toString().slice(6))
      }),
      { numRuns: 500 },
    )
  })

  test('A damaged stream is read the same however it is cut.', () => {
    const { bytes } = read(sound)
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 300 }), (seed, mean) => {
        expect(read(sound, seeded(seed, mean)).bytes).toBe(bytes)
      }),
    )
    for (const [, split] of SPLITS) {
      // A server that ends its lines with CR LF says the same.
      expect(read(sound.replaceAll('\n', '\r\n'), split).bytes).toBe(bytes)
    }
  })

  test('A damaged stream with a line that never ends is refused at a limit.', () => {
    const reader = anthropic.chat.readStream(context)
    const endless = Buffer.alloc(4 * 1024 * 1024, 0x78)
    expect(() => {
      for (let i = 0; i < 20; i += 1) reader.push(endless)
    }).toThrow(RangeError)
  })
})
