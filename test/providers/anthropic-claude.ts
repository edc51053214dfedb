/** A provider as strict about thoughts as Claude, which tells the same story of three turns. */
import { seeded } from '../support/splits.ts'
import type { ReceivedRequest } from '../support/upstream.ts'

export type Json = Record<string, unknown>

export const MODEL = 'claude-sonnet-4-5'
const SIGNATURE = Buffer.from('signed by Claude '.repeat(40)).toString('base64')

const think = (thinking: string, name: string) => ({ type: 'thinking', thinking, signature: `${name}${SIGNATURE}` })
const use = (id: string, name: string, input: Json) => ({ type: 'tool_use', id, name, input })
/** Of every answer. */
export const USAGE = { input_tokens: 100, cache_read_input_tokens: 20, output_tokens: 30 }
/** What Claude says, turn by turn. */
const TURNS: Json[][] = [
  [
    think('Both towns, and the time.', 'a'),
    { type: 'redacted_thinking', data: 'c2VjcmV0' },
    { type: 'text', text: 'I look it up.' },
    use('toolu_1', 'weather', { city: 'Oslo' }),
    use('toolu_2', 'weather', { city: 'Lima' }),
    use('toolu_3', 'now', {}),
  ],
  [think('One more.', 'b'), use('toolu_4', 'weather', { city: 'Rome' })],
  [think('Done.', 'c'), { type: 'text', text: 'Rain, but for Rome.' }],
]

/** Refuses what Claude would: thoughts that are not what it said, results that are missing, not first, or of nothing. */
function complaint(messages: readonly { role: string; content: Json[] }[]): string | null {
  const said = messages.filter(({ role }) => role === 'assistant')
  for (const [turn, { content }] of said.entries()) {
    if (JSON.stringify(content) !== JSON.stringify(TURNS[turn]))
      return `turn ${turn} was changed: ${JSON.stringify(content)}`
  }
  for (const [at, { role, content }] of messages.entries()) {
    if (role !== 'assistant') continue
    const calls = content.filter(({ type }) => type === 'tool_use').map(({ id }) => id)
    const results = (messages[at + 1]?.content ?? []).slice(0, calls.length).map((block) => block.tool_use_id)
    if (calls.length > 0 && JSON.stringify(results) !== JSON.stringify(calls))
      return `results of turn ${at}: ${JSON.stringify(results)}`
  }
  return null
}

export function claude({ json }: ReceivedRequest) {
  const asked = json as { messages: { role: string; content: Json[] }[]; stream?: boolean; thinking?: unknown } | null
  const turn = asked?.messages.filter(({ role }) => role === 'assistant').length ?? 0
  const wrong = asked === null ? 'no JSON' : complaint(asked.messages)
  if (wrong !== null) {
    const error = { type: 'error', error: { type: 'invalid_request_error', message: wrong } }
    return { status: 400, headers: { 'content-type': 'application/json' }, frames: [JSON.stringify(error)] }
  }
  const content = TURNS[turn] ?? []
  const stop_reason = turn < 2 ? 'tool_use' : 'end_turn'
  const usage = USAGE
  if (asked?.stream !== true) {
    const body = { id: 'msg_1', type: 'message', model: `${MODEL}-20250929`, content, stop_reason, usage }
    return { headers: { 'content-type': 'application/json' }, frames: [JSON.stringify(body)] }
  }
  return {
    headers: { 'content-type': 'text/event-stream' },
    frames: events(content, stop_reason, usage),
    split: seeded(turn, 40),
  }
}

/** What a stream announces. */
export const BEGUN = {
  ...{ id: 'msg_1', type: 'message', role: 'assistant', content: [], model: `${MODEL}-20250929` },
  ...{ stop_reason: null, stop_sequence: null },
}

function events(content: readonly Json[], stop_reason: string, usage: Json): string[] {
  const event = (type: string, members: Json = {}) =>
    `event: ${type}\ndata: ${JSON.stringify({ type, ...members })}   \n\n`
  const fill = (block: Json): [Json, Json[]] => {
    if (block.type === 'text') return [{ type: 'text', text: '' }, [{ type: 'text_delta', text: block.text }]]
    if (block.type === 'redacted_thinking') return [block, []]
    if (block.type === 'tool_use') {
      const json = Object.keys(block.input as Json).length > 0 ? JSON.stringify(block.input) : ''
      return [{ ...block, input: {} }, ['', json].map((partial_json) => ({ type: 'input_json_delta', partial_json }))]
    }
    const words = String(block.thinking)
      .split(/(?= )/)
      .map((thinking) => ({ type: 'thinking_delta', thinking }))
    return [
      { type: 'thinking', thinking: '', signature: '' },
      [...words, { type: 'signature_delta', signature: block.signature }],
    ]
  }
  return [
    event('message_start', {
      message: { ...BEGUN, usage: { ...usage, output_tokens: 1 } },
    }),
    ...content.flatMap((block, index) => {
      const [content_block, deltas] = fill(block)
      return [
        event('content_block_start', { index, content_block }),
        ...deltas.map((delta) => event('content_block_delta', { index, delta })),
        event('content_block_stop', { index }),
      ]
    }),
    event('message_delta', { delta: { stop_reason }, usage }),
    event('message_stop'),
  ]
}
