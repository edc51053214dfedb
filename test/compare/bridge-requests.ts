/** Requests that clients send to models whose provider does not speak their dialect, drawn by a seed: what is in them is what is tried. */
import type { Json } from '../support/response-answers.ts'

export type Kind = 'responses' | 'messages'

export interface BridgeCase {
  kind: Kind
  body: Json
  /** What the provider says. */
  said: Said
}

/** A chat completion, as its provider would write it. */
export interface Said {
  text: string | null
  calls: readonly { id: string; name: string; arguments: string }[]
  finish: 'stop' | 'length' | 'tool_calls' | 'content_filter'
  cached: number
  reasoning: number
  thought: string | null
}

interface Draw {
  /** Of so many, one. */
  one<T>(from: readonly T[]): T
  /** In so many of a hundred. */
  some(percent: number): boolean
}

/** Mulberry32: the same cases for the same seed, on every machine. */
function drawFrom(seed: number): Draw {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  return { one: (from) => from[Math.floor(next() * from.length)]!, some: (percent) => next() * 100 < percent }
}

const TEXTS = ['Hello', 'How is the weather in Oslo?', 'Grüße 👋\nand a second line', 'Write ten lines.']
const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
const SCHEMA = {
  type: 'object',
  properties: { city: { type: 'string', description: 'Where' }, days: { type: 'integer' } },
  required: ['city'],
  additionalProperties: false,
}
const TOOLS = ['get_weather', 'run']
const CALL = { city: 'Oslo', days: 2 }

export function bridgeCases(seed: number, count: number): BridgeCase[] {
  const draw = drawFrom(seed)
  return Array.from({ length: count }, (_, index) => {
    const kind: Kind = index % 2 === 0 ? 'responses' : 'messages'
    const tools = draw.some(50)
    const body = kind === 'responses' ? responseOf(draw, tools) : messageOf(draw, tools)
    return { kind, body, said: saidOf(draw, tools) }
  })
}

function saidOf({ one, some }: Draw, tools: boolean): Said {
  const isCalling = tools && some(50)
  const call = (id: number) => ({ id: `call_${id}`, name: one(TOOLS), arguments: JSON.stringify(CALL) })
  return {
    text: isCalling && some(60) ? null : one(TEXTS),
    calls: isCalling ? (some(30) ? [call(1), call(2)] : [call(1)]) : [],
    finish: isCalling ? 'tool_calls' : some(20) ? 'length' : some(5) ? 'content_filter' : 'stop',
    cached: some(30) ? 40 : 0,
    reasoning: some(30) ? 12 : 0,
    thought: some(20) ? 'The town is known.' : null,
  }
}

function responseOf(draw: Draw, tools: boolean): Json {
  const { one, some } = draw
  return {
    input: some(25) ? one(TEXTS) : responseItems(draw, tools),
    ...(some(50) ? { instructions: 'Be brief.' } : {}),
    ...(some(60) ? { max_output_tokens: one([256, 1_000]) } : {}),
    ...(some(30) ? { temperature: one([0, 0.5, 1]) } : {}),
    ...(some(20) ? { top_p: 0.9 } : {}),
    ...(some(20) ? { metadata: { purpose: 'test' } } : {}),
    ...(some(20) ? { user: 'someone' } : {}),
    ...(some(30) ? { store: false } : {}),
    ...(some(20) ? { text: { format: formatOf(draw) } } : {}),
    ...(tools
      ? { tools: TOOLS.map((name) => ({ type: 'function', name, ...functionOf(draw) })), ...choiceOf(draw) }
      : {}),
  }
}

function functionOf({ some }: Draw): Json {
  return {
    parameters: SCHEMA,
    ...(some(70) ? { description: 'Tells the weather.' } : {}),
    ...(some(50) ? { strict: some(50) } : {}),
  }
}

function choiceOf({ one, some }: Draw): Json {
  return {
    ...(some(50) ? { tool_choice: one(['auto', 'none', 'required', { type: 'function', name: 'run' }]) } : {}),
    ...(some(30) ? { parallel_tool_calls: some(50) } : {}),
  }
}

function formatOf({ one }: Draw): Json {
  return one<Json>([
    { type: 'text' },
    { type: 'json_object' },
    { type: 'json_schema', name: 'town', schema: SCHEMA, strict: true },
  ])
}

function responseItems({ one, some }: Draw, tools: boolean): Json[] {
  const text = (role: string): Json => {
    const type = role === 'assistant' ? 'output_text' : 'input_text'
    const content = some(50) ? one(TEXTS) : [{ type, text: one(TEXTS) }]
    return some(50) ? { role, content } : { type: 'message', role, content }
  }
  const image = { type: 'input_image', image_url: `data:image/png;base64,${PIXEL}`, detail: 'low' }
  const call = (id: number): Json[] => [
    { type: 'function_call', call_id: `call_${id}`, name: one(TOOLS), arguments: JSON.stringify(CALL) },
    { type: 'function_call_output', call_id: `call_${id}`, output: 'rain' },
  ]
  return [
    ...(some(30) ? [text(one(['system', 'developer']))] : []),
    text('user'),
    ...(some(40) ? [text('assistant'), text('user')] : []),
    ...(some(20) ? [{ role: 'user', content: [{ type: 'input_text', text: 'What is it?' }, image] }] : []),
    ...(tools && some(50) ? call(1) : []),
    ...(tools && some(20) ? call(2) : []),
  ]
}

function messageOf(draw: Draw, tools: boolean): Json {
  const { one, some } = draw
  return {
    max_tokens: one([256, 1_000]),
    messages: messageTurns(draw, tools),
    ...(some(50)
      ? {
          system: some(50)
            ? 'Be brief.'
            : [
                { type: 'text', text: 'Be brief.' },
                { type: 'text', text: 'Be kind.' },
              ],
        }
      : {}),
    ...(some(30) ? { temperature: one([0, 0.5, 1]) } : {}),
    ...(some(20) ? { top_p: 0.9 } : {}),
    ...(some(20) ? { stop_sequences: ['END'] } : {}),
    ...(some(20) ? { metadata: { user_id: 'someone' } } : {}),
    ...(tools
      ? {
          tools: TOOLS.map((name) => ({ name, description: 'Tells the weather.', input_schema: SCHEMA })),
          ...(some(50)
            ? {
                tool_choice: one<Json>([
                  { type: 'auto' },
                  { type: 'any' },
                  { type: 'none' },
                  { type: 'tool', name: 'run' },
                ]),
              }
            : {}),
        }
      : {}),
  }
}

function messageTurns({ one, some }: Draw, tools: boolean): Json[] {
  const text = (role: string): Json => ({ role, content: some(50) ? one(TEXTS) : [{ type: 'text', text: one(TEXTS) }] })
  const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: PIXEL } }
  const result = some(50) ? 'rain' : [{ type: 'text', text: 'rain' }]
  const turn = (id: number): Json[] => [
    {
      role: 'assistant',
      content: [
        ...(some(50) ? [{ type: 'text', text: 'I look it up.' }] : []),
        { type: 'tool_use', id: `call_${id}`, name: one(TOOLS), input: CALL },
      ],
    },
    {
      role: 'user',
      content: [
        { type: 'tool_result', tool_use_id: `call_${id}`, content: result },
        ...(some(30) ? [{ type: 'text', text: 'Go on.' }] : []),
      ],
    },
  ]
  return [
    some(20) ? { role: 'user', content: [{ type: 'text', text: 'What is it?' }, image] } : text('user'),
    ...(some(40) ? [text('assistant'), text('user')] : []),
    ...(tools && some(50) ? turn(1) : []),
    ...(tools && some(20) ? turn(2) : []),
  ]
}
