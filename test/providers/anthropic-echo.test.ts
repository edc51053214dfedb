/** What Claude says, through an OpenAI client and back to Claude: nothing is lost, whatever the client keeps. */
import { deflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { idWithBlocks } from '../../providers/anthropic/carried.ts'
import { anthropic } from '../../providers/anthropic.ts'
import type { ProviderResponse } from '../../providers/provider.ts'
import { parseRequest } from '../../src/endpoints/chat-completions/read-request.ts'
import { providerCall } from '../support/provider-call.ts'
import { seeded } from '../support/splits.ts'

type Json = Record<string, unknown>

/** An id that says it carries a thought of so many letters. */
function bombOf(length: number): string {
  const list = [[0, { type: 'thinking', thinking: 'x'.repeat(length), signature: 's' }]]
  return `toolu_1__sig_${deflateRawSync(JSON.stringify(list)).toString('base64url')}`
}

const THOUGHT = { type: 'thinking', thinking: Array.from({ length: 10_000 }, (_, i) => `${i}`).join(), signature: 's' }
const PACKED = idWithBlocks('toolu_1', [{ block: THOUGHT, text: 0, tools: 0 }])
const PACKED_BYTES = JSON.stringify([[0, THOUGHT]]).length

const request = parseRequest(Buffer.from('{"model":"m","messages":[{"role":"user","content":"Hi"}]}'))
const context = { request, model: 'claude-opus-4-8', choices: 1, callId: 'c1', created: 1 }

/** The message an OpenAI client makes of an answer. */
function whole(content: readonly Json[]): Json {
  const json = { type: 'message', content, stop_reason: 'end_turn' }
  const answer = anthropic.chat.readResponse(Buffer.from(JSON.stringify(json)), context) as ProviderResponse
  return JSON.parse(answer.body(null, {}).toString()).choices[0].message as Json
}

/** The same from a stream, its deltas added up as clients do: texts joined, tool calls by index, anything else the last. */
function streamed(content: readonly Json[], seed: number): Json {
  const reader = anthropic.chat.readStream(context)
  const pieces = seeded(seed, 60)(Buffer.from(events(content)))
  const bytes = Buffer.concat(pieces.flatMap((piece) => reader.push(piece).bytes ?? []))
  const message: Json = { content: '' }
  const calls: Json[] = []
  for (const frame of bytes.toString().split('\n\n').slice(0, -1)) {
    const { tool_calls: called, ...delta } = (JSON.parse(frame.slice(6)) as { choices: { delta: Json }[] }).choices[0]!
      .delta
    for (const [key, value] of Object.entries(delta)) {
      message[key] = typeof value === 'string' && key !== 'role' ? `${String(message[key] ?? '')}${value}` : value
    }
    for (const { index, ...call } of (called ?? []) as { index: number; function: { arguments: string } }[]) {
      const before = calls[index] as { function: { arguments: string } } | undefined
      if (before === undefined) calls[index] = call as unknown as Json
      else before.function.arguments += call.function.arguments
    }
  }
  return calls.length > 0 ? { ...message, tool_calls: calls } : message
}

function events(content: readonly Json[]): string {
  const event = (type: string, members: Json) => `event: ${type}\ndata: ${JSON.stringify({ type, ...members })}\n\n`
  const blocks = content.map((block, index) => {
    const { bare, deltas } = taken(block)
    return [
      event('content_block_start', { index, content_block: bare }),
      ...deltas.map((delta) => event('content_block_delta', { index, delta })),
      event('content_block_stop', { index }),
    ].join('')
  })
  const begin = event('message_start', {
    message: { id: 'm', model: 'x', usage: { input_tokens: 1, output_tokens: 1 } },
  })
  const end = event('message_delta', { delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 1 } })
  return `${begin}${blocks.join('')}${end}${event('message_stop', {})}`
}

/** A block as it starts, and what fills it. */
function taken(block: Json): { bare: Json; deltas: Json[] } {
  const halves = (text: string) => [text.slice(0, text.length >> 1), text.slice(text.length >> 1)]
  if (block.type === 'text') {
    const deltas = halves(String(block.text)).map((text) => ({ type: 'text_delta', text }))
    return { bare: { ...block, text: '' }, deltas }
  }
  if (block.type === 'thinking') {
    const words = halves(String(block.thinking)).map((thinking) => ({ type: 'thinking_delta', thinking }))
    const signed = { type: 'signature_delta', signature: block.signature }
    return { bare: { ...block, thinking: '', signature: '' }, deltas: [...words, signed] }
  }
  if (block.type !== 'tool_use') return { bare: block, deltas: [] }
  const pieces = halves(JSON.stringify(block.input)).map((json) => ({ type: 'input_json_delta', partial_json: json }))
  return { bare: { ...block, input: {} }, deltas: pieces }
}

/** The conversation as it reaches Claude. */
function sentTo(messages: readonly unknown[]): { role: string; content: Json[] }[] {
  const { body } = anthropic.chat.prepare(
    providerCall(JSON.stringify({ model: 'm', messages }), { model: 'claude-opus-4-8', apiKey: null }),
  )
  return (JSON.parse(body.toString()) as { messages: { role: string; content: Json[] }[] }).messages
}

/** What Claude gets of the turn when the client's message is sent back. */
function echoed(message: Json): unknown {
  const results = ((message.tool_calls ?? []) as Json[]).map(({ id }) => ({
    role: 'tool',
    tool_call_id: id,
    content: 'ok',
  }))
  const messages = [
    { role: 'user', content: 'Hi' },
    { role: 'assistant', ...message },
    ...results,
    { role: 'user', content: 'On' },
  ]
  const sent = sentTo(messages)
  const turn = sent.find(({ role }) => role === 'assistant')?.content ?? []
  const answered = sent.flatMap(({ content }) => content).filter(({ type }) => type === 'tool_result')
  const calls = turn.filter(({ type }) => type === 'tool_use').map(({ id }) => id)
  expect(answered.map((result) => result.tool_use_id)).toEqual(calls)
  for (const id of calls) expect(id).toMatch(/^[a-zA-Z0-9_-]+$/)
  return turn
}

const words = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }).map((text) => `${text}.`)
const said = words.map((text) => ({ type: 'text', text }))
const thought = fc.record({
  type: fc.constant('thinking'),
  thinking: words,
  signature: fc.base64String({ minLength: 4 }),
})
const hidden = fc.record({ type: fc.constant('redacted_thinking'), data: fc.base64String({ minLength: 4 }) })
const searched = fc.constant({ type: 'server_tool_use', id: 'srv_1', name: 'web_search', input: { query: 'q' } })
const name = fc.stringMatching(/^[a-z]{1,8}$/)
// `-0` is written as 0 by JavaScript, before it reaches us.
const input = fc.dictionary(
  name,
  fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value)) as unknown),
  { maxKeys: 4 },
)
const called = fc.record({ name, input })

/** A turn: text and what else Claude makes in any order, then calls, thoughts between them. */
const turns = fc
  .record({
    before: fc.array(fc.oneof(said, thought, hidden, searched), { minLength: 1, maxLength: 5 }),
    calls: fc.array(fc.tuple(fc.array(fc.oneof(thought, hidden), { maxLength: 1 }), called), { maxLength: 3 }),
  })
  .map(({ before, calls }) => {
    const uses = calls.flatMap(([thoughts, call], at) => [
      ...thoughts,
      { type: 'tool_use', id: `toolu_${at}`, ...call },
    ])
    return joinTexts([...before, ...uses] as Json[])
  })

/** Two texts side by side are one for an OpenAI client. */
function joinTexts(content: readonly Json[]): Json[] {
  const joined: Json[] = []
  for (const block of content) {
    const last = joined.at(-1)
    if (block.type === 'text' && last?.type === 'text') last.text = `${String(last.text)}${String(block.text)}`
    else joined.push({ ...block })
  }
  return joined
}

describe('a turn of Claude', () => {
  test('A turn of Claude comes back to it as it was, from a client that echoes what it got.', () => {
    fc.assert(
      fc.property(turns, fc.nat(), (content, seed) => {
        expect(echoed(whole(content))).toEqual(content)
        expect(echoed(streamed(content, seed))).toEqual(content)
      }),
    )
  })

  test('A turn of Claude comes back up to its last call, from a client that keeps content and tool calls only.', () => {
    fc.assert(
      fc.property(turns, fc.nat(), (content, seed) => {
        const last = content.findLastIndex(({ type }) => type === 'tool_use')
        const kept = joinTexts(content.filter(({ type }, at) => at <= last || type === 'text'))
        for (const message of [whole(content), streamed(content, seed)]) {
          const { content: text, tool_calls: calls } = message
          expect(echoed({ content: text, ...(calls === undefined ? {} : { tool_calls: calls }) })).toEqual(kept)
        }
      }),
    )
  })

  test('A turn of Claude is not broken by a client that changed it.', () => {
    fc.assert(
      fc.property(turns, words, (content, text) => {
        const turn = echoed({ ...whole(content), content: text }) as Json[]
        const texts = turn.filter(({ type }) => type === 'text').map((block) => block.text)
        expect(texts.join('').replaceAll(/\s/g, '')).toBe(text.trim() === '' ? '' : text.replaceAll(/\s/g, ''))
      }),
    )
  })
})

describe('blocks in an id', () => {
  const blocks = [{ block: { type: 'thinking', thinking: 'hm', signature: 's' }, text: 0, tools: 0 }]
  const turn = (id: string) => echoed({ content: 'A', tool_calls: [{ id, function: { name: 'f', arguments: '{}' } }] })
  const use = { type: 'tool_use', id: 'toolu_1', name: 'f', input: {} }

  test('Blocks in an id are letters, digits, _ and - alone.', () => {
    expect(idWithBlocks('toolu_1', blocks)).toMatch(/^toolu_1__sig_[A-Za-z0-9_-]+$/)
    expect(idWithBlocks('toolu_1', [])).toBe('toolu_1')
  })

  test('Blocks too large for an id are left out.', () => {
    const noise = Array.from({ length: 40_000 }, (_, i) => Math.imul(i, 2_654_435_761).toString(36)).join('')
    expect(
      idWithBlocks('toolu_1', [{ ...blocks[0]!, block: { type: 'thinking', thinking: noise, signature: 's' } }]),
    ).toBe('toolu_1')
  })

  test.each(['', 'AAAA', '!!!!', 'q1ZQ'])('Blocks in an id that are damaged are ignored: %j.', (payload) => {
    expect(turn(`toolu_1__sig_${payload}`)).toEqual([{ type: 'text', text: 'A' }, use])
  })

  test('Blocks of another model in an id are cut off.', () => {
    expect(turn('toolu_1__gsig_abc')).toEqual([{ type: 'text', text: 'A' }, use])
  })

  test('Blocks in an id that deflate better than any thought are not made.', () => {
    const block = { type: 'thinking', thinking: 'x'.repeat(100_000), signature: 's' }
    expect(idWithBlocks('toolu_1', [{ ...blocks[0]!, block }])).toBe('toolu_1')
  })

  test.each([50_000, 4_000_000])(
    'Blocks in an id that unpack to more than 32 times their size are ignored: %d characters.',
    (length) => {
      expect(turn(bombOf(length))).toEqual([{ type: 'text', text: 'A' }, use])
    },
  )

  test('Blocks in an id may unpack to two megabytes in one request, and are refused beyond.', () => {
    const refusals = (count: number) => {
      const calls = Array.from({ length: count }, () => ({ id: PACKED, type: 'function', function: { name: 'f' } }))
      const messages = [{ role: 'user', content: 'Hi', tool_calls: calls }]
      return anthropic.chat.refuses({ messages }, 'claude-haiku-4-5').map(({ param, droppable }) => [param, droppable])
    }
    const most = Math.floor((2 * 1024 * 1024) / PACKED_BYTES)
    expect(refusals(most)).toEqual([])
    expect(refusals(most + 1)).toEqual([['messages', false]])
  })
})

test('Everything in an OpenAI conversation reaches Claude, in order.', () => {
  const call = fc.record({ name, input })
  const step = fc.oneof(
    words.map((text) => ({ kind: 'user' as const, text })),
    fc
      .tuple(words, fc.array(fc.tuple(call, words), { maxLength: 3 }))
      .map(([text, calls]) => ({ kind: 'turn' as const, text, calls })),
  )
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 8 }), (steps) => {
      const messages: Json[] = [{ role: 'user', content: 'Begin.' }]
      const expected: unknown[] = ['Begin.']
      for (const [at, part] of steps.entries()) {
        expected.push(part.text)
        if (part.kind === 'user') messages.push({ role: 'user', content: [{ type: 'text', text: part.text }] })
        else {
          const ids = part.calls.map((_, i) => `call_${at}_${i}`)
          const calls = part.calls.map(([made], i) => ({
            id: ids[i],
            type: 'function',
            function: { name: made.name, arguments: JSON.stringify(made.input) },
          }))
          messages.push({ role: 'assistant', content: part.text, ...(calls.length > 0 ? { tool_calls: calls } : {}) })
          expected.push(...part.calls.map(([made], i) => [ids[i], made.name, made.input]))
          // Results may come in any order.
          for (const [i, [, result]] of [...part.calls.entries()].reverse()) {
            messages.push({ role: 'tool', tool_call_id: ids[i], content: result })
            expected.push([ids[i], result])
          }
        }
      }
      messages.push({ role: 'user', content: 'End.' })
      const json = { model: 'm', messages }
      expect(anthropic.chat.refuses(json, 'claude-opus-4-8')).toEqual([])
      const turnsSent = sentTo(messages)
      for (const [at, { role }] of turnsSent.entries()) expect(role).toBe(at % 2 === 0 ? 'user' : 'assistant')
      const blocks = turnsSent.flatMap(({ content }) => content)
      const seen = blocks.map((block) => {
        if (block.type === 'text') return block.text
        if (block.type === 'tool_use') return [block.id, block.name, block.input]
        return [block.tool_use_id, (block.content as Json[])[0]?.text]
      })
      expect(seen).toEqual([...expected, 'End.'])
    }),
  )
})
