/** Claude and Gemini in their own dialects: what they state is believed as far as it is possible, like everybody's. */
import { jsonAnswer, rawStream } from '../../support/upstream-answers.ts'
import type { Bill } from '../bill.ts'
import { between, disputed, exact, type Promised, type Provider, type Trick } from '../trick.ts'

type Json = Record<string, unknown>

/** "Hello world" for "Say hello": what an honest one states. */
const CLAUDE: Bill = { model: 'claude-haiku-4-5', input: 10, output: 5 }
const GEMINI: Bill = { model: 'gemini-2.5-flash', input: 10, output: 5 }

/** `start` is stated before the text, `end` behind it. */
function claude(start: Json, end: Json): Provider {
  return ({ json }) => {
    const message = { id: 'm', type: 'message', role: 'assistant', model: 'claude-haiku-4-5', stop_reason: 'end_turn' }
    const content = [{ type: 'text', text: 'Hello world' }]
    if (json?.stream !== true)
      return { script: jsonAnswer({ ...message, content, usage: { ...start, ...end } }), bill: CLAUDE }
    const event = (type: string, members: Json) => `event: ${type}\ndata: ${JSON.stringify({ type, ...members })}\n\n`
    const frames = [
      event('message_start', { message: { ...message, content: [], stop_reason: null, usage: start } }),
      event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
      event('content_block_delta', { index: 0, delta: { type: 'text_delta', text: 'Hello world' } }),
      event('content_block_stop', { index: 0 }),
      event('message_delta', { delta: { stop_reason: 'end_turn' }, usage: end }),
      event('message_stop', {}),
    ]
    return { script: rawStream(frames), bill: CLAUDE }
  }
}

function gemini(usageMetadata: Json | null): Provider {
  return ({ json, path }) => {
    const candidates = [
      { index: 0, content: { role: 'model', parts: [{ text: 'Hello world' }] }, finishReason: 'STOP' },
    ]
    const body = { candidates, modelVersion: 'gemini-2.5-flash', ...(usageMetadata === null ? {} : { usageMetadata }) }
    const isStream = path.includes('streamGenerateContent')
    const script = isStream ? rawStream([`data: ${JSON.stringify(body)}\r\n\r\n`]) : jsonAnswer(body)
    return { script, bill: json === null ? null : GEMINI }
  }
}

const both = (name: string, model: string, provider: Provider, promise: Promised): Trick[] =>
  [false, true].flatMap((stream) => {
    const trick = { by: 'provider', provider, promise } as const
    const body = { model, max_tokens: 100, stream }
    const translated: Trick = { ...trick, name: `${name} (stream: ${stream})`, act: { body } }
    const native: Trick = {
      ...trick,
      name: `${name} (as it came, stream: ${stream})`,
      act: { body, path: '/v1/messages' },
    }
    return model === 'claude' ? [translated, native] : [translated]
  })

/** Counted here: by another vocabulary than theirs, and no more than the call was held for. */
const COUNTED = between(1n, 'held')
const google = (prompt: unknown, candidates: unknown, more: Json = {}) =>
  gemini({ promptTokenCount: prompt, candidatesTokenCount: candidates, ...more })

export const NATIVES: readonly Trick[] = [
  ...both(
    'Claude tells the truth',
    'claude',
    claude({ input_tokens: 10, output_tokens: 1 }, { output_tokens: 5 }),
    exact,
  ),
  ...both(
    'Claude states a billion of output',
    'claude',
    claude({ input_tokens: 10, output_tokens: 1 }, { output_tokens: 1e9 }),
    disputed,
  ),
  ...both(
    'Claude states a window of input',
    'claude',
    claude({ input_tokens: 200_000, output_tokens: 1 }, { output_tokens: 5 }),
    disputed,
  ),
  ...both(
    'Claude states a window that was cached',
    'claude',
    claude({ input_tokens: 0, cache_read_input_tokens: 200_000, output_tokens: 1 }, { output_tokens: 5 }),
    disputed,
  ),
  ...both(
    'Claude states less than nothing',
    'claude',
    claude({ input_tokens: -10, output_tokens: -1 }, { output_tokens: -5 }),
    COUNTED,
  ),
  ...both(
    'Claude states nothing beside its text',
    'claude',
    claude({ input_tokens: 0, output_tokens: 0 }, { output_tokens: 0 }),
    COUNTED,
  ),
  ...both(
    'Claude states a thousand searches that nobody asked for',
    'claude',
    claude(
      { input_tokens: 10, output_tokens: 1 },
      { output_tokens: 5, server_tool_use: { web_search_requests: 1_000 } },
    ),
    disputed,
  ),
  ...both('Gemini tells the truth', 'flash', google(10, 5, { totalTokenCount: 15 }), exact),
  ...both('Gemini states a billion of thoughts', 'flash', google(10, 5, { thoughtsTokenCount: 1e9 }), disputed),
  ...both('Gemini states a window of input', 'flash', google(1_000_000, 5), disputed),
  ...both('Gemini states nothing', 'flash', gemini(null), COUNTED),
  ...both('Gemini states 0 + 0', 'flash', google(0, 0), COUNTED),
  ...both('Gemini states texts for counts', 'flash', google('10', '5'), COUNTED),
]
