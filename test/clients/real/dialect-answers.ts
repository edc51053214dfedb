/** What a scripted model says, in the words of each dialect that providers speak: whole and streamed, always with the same usage. */
import { functionCall, type Json, message, streamedResponse, wholeResponse } from '../../support/response-answers.ts'
import { type Answer, chatStream, jsonAnswer, rawStream, sse } from '../../support/upstream-answers.ts'

export interface Call {
  id: string
  name: string
  args: Json
}

export interface Said {
  text: string
  calls: readonly Call[]
}

export type DialectName = 'chat' | 'completions' | 'embeddings' | 'responses' | 'messages' | 'gemini'

/** Of every answer. */
export const TOKENS = { input: 1_000, output: 20 }

const { input, output } = TOKENS
const CHAT_USAGE = { prompt_tokens: input, completion_tokens: output, total_tokens: input + output }
const MESSAGE_USAGE = { input_tokens: input, output_tokens: output }
const RESPONSE_USAGE = {
  input_tokens: input,
  input_tokens_details: { cached_tokens: 0 },
  output_tokens: output,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: input + output,
}
const GEMINI_USAGE = {
  promptTokenCount: input,
  candidatesTokenCount: output,
  totalTokenCount: input + output,
}

/** @param path of the request to the provider. */
export function dialectAt(path: string): DialectName | null {
  if (path.includes('/chat/completions')) return 'chat'
  if (path.includes('/responses')) return 'responses'
  if (path.includes('/messages')) return 'messages'
  if (/enerateContent/.test(path)) return 'gemini'
  if (path.includes('/embeddings')) return 'embeddings'
  return path.includes('/completions') ? 'completions' : null
}

export function answerIn(dialect: DialectName, stream: boolean, said: Said): Answer {
  return (stream ? STREAMED : WHOLE)[dialect](said)
}

const WHOLE: Readonly<Record<DialectName, (said: Said) => Answer>> = {
  chat: ({ text, calls }) =>
    jsonAnswer({
      id: 'chatcmpl-1',
      object: 'chat.completion',
      created: 1_700_000_000,
      model: 'scripted',
      choices: [
        {
          index: 0,
          message: {
            role: 'assistant',
            content: text === '' ? null : text,
            ...(calls.length > 0 ? { tool_calls: calls.map(chatCall) } : {}),
          },
          finish_reason: calls.length > 0 ? 'tool_calls' : 'stop',
        },
      ],
      usage: CHAT_USAGE,
    }),
  completions: ({ text }) =>
    jsonAnswer({
      id: 'cmpl-1',
      object: 'text_completion',
      created: 1_700_000_000,
      model: 'scripted',
      choices: [{ index: 0, text, logprobs: null, finish_reason: 'stop' }],
      usage: CHAT_USAGE,
    }),
  embeddings: () =>
    jsonAnswer({
      object: 'list',
      data: [
        {
          object: 'embedding',
          index: 0,
          embedding: Buffer.from(new Float32Array([0.5, 0.25]).buffer).toString('base64'),
        },
      ],
      model: 'scripted',
      usage: { prompt_tokens: input, total_tokens: input },
    }),
  responses: (said) => wholeResponse(itemsOf(said), { usage: RESPONSE_USAGE }),
  messages: (said) =>
    jsonAnswer({ ...begun, content: blocksOf(said), stop_reason: stopOf(said), usage: MESSAGE_USAGE }),
  gemini: (said) => jsonAnswer(candidateOf(said)),
}

const STREAMED: Readonly<Record<DialectName, (said: Said) => Answer>> = {
  chat({ text, calls }) {
    const chunk = (delta: Json, finish_reason: string | null = null) =>
      sse({
        id: 'chatcmpl-1',
        object: 'chat.completion.chunk',
        created: 1_700_000_000,
        model: 'scripted',
        choices: [{ index: 0, delta, finish_reason }],
      })
    if (calls.length === 0) return chatStream({ text: words(text), usage: CHAT_USAGE })
    return rawStream([
      chunk({ role: 'assistant', content: text }),
      ...calls.map((call, index) => chunk({ tool_calls: [{ index, ...chatCall(call) }] })),
      chunk({}, 'tool_calls'),
      sse({ id: 'chatcmpl-1', object: 'chat.completion.chunk', choices: [], usage: CHAT_USAGE }),
      'data: [DONE]\n\n',
    ])
  },
  completions: ({ text }) =>
    rawStream([
      ...words(text).map((piece) => completionChunk(piece, null)),
      completionChunk('', 'stop'),
      sse({ id: 'cmpl-1', object: 'text_completion', choices: [], usage: CHAT_USAGE }),
      'data: [DONE]\n\n',
    ]),
  embeddings: () => WHOLE.embeddings({ text: '', calls: [] }),
  responses: (said) => streamedResponse(itemsOf(said), { usage: RESPONSE_USAGE }),
  messages: (said) => rawStream(messageEvents(said)),
  gemini: (said) => rawStream([sse(candidateOf(said))]),
}

function completionChunk(text: string, finish_reason: string | null): string {
  return sse({ id: 'cmpl-1', object: 'text_completion', choices: [{ index: 0, text, finish_reason }] })
}

function chatCall({ id, name, args }: Call): Json {
  return { id, type: 'function', function: { name, arguments: JSON.stringify(args) } }
}

function itemsOf({ text, calls }: Said): Json[] {
  // Ids as OpenAI makes them: no two alike.
  const own = calls[0]?.id ?? `end${text.length}`
  return [
    ...(text === '' ? [] : [message(text, `msg_${own}`)]),
    ...calls.map(({ id, name, args }) => functionCall(name, args, id)),
  ]
}

const begun = { id: 'msg_1', type: 'message', role: 'assistant', model: 'scripted', stop_sequence: null }

function blocksOf({ text, calls }: Said): Json[] {
  return [
    ...(text === '' ? [] : [{ type: 'text', text }]),
    ...calls.map(({ id, name, args }) => ({ type: 'tool_use', id, name, input: args })),
  ]
}

function stopOf({ calls }: Said): string {
  return calls.length > 0 ? 'tool_use' : 'end_turn'
}

function messageEvents(said: Said): string[] {
  const event = (type: string, members: Json = {}) =>
    `event: ${type}\ndata: ${JSON.stringify({ type, ...members })}\n\n`
  return [
    event('message_start', {
      message: { ...begun, content: [], stop_reason: null, usage: { ...MESSAGE_USAGE, output_tokens: 1 } },
    }),
    ...blocksOf(said).flatMap((block, index) => {
      const [open, deltas] = opened(block)
      return [
        event('content_block_start', { index, content_block: open }),
        ...deltas.map((delta) => event('content_block_delta', { index, delta })),
        event('content_block_stop', { index }),
      ]
    }),
    event('message_delta', { delta: { stop_reason: stopOf(said), stop_sequence: null }, usage: MESSAGE_USAGE }),
    event('message_stop'),
  ]
}

function opened(block: Json): [Json, Json[]] {
  if (block.type === 'text')
    return [{ type: 'text', text: '' }, words(String(block.text)).map((text) => ({ type: 'text_delta', text }))]
  return [{ ...block, input: {} }, [{ type: 'input_json_delta', partial_json: JSON.stringify(block.input) }]]
}

function candidateOf({ text, calls }: Said): Json {
  const parts = [
    ...(text === '' ? [] : [{ text }]),
    ...calls.map(({ name, args }) => ({ functionCall: { name, args }, thoughtSignature: 'c2lnbmVk' })),
  ]
  return {
    candidates: [{ index: 0, content: { role: 'model', parts }, finishReason: 'STOP' }],
    usageMetadata: GEMINI_USAGE,
    modelVersion: 'scripted',
    responseId: 'gemini-1',
  }
}

function words(text: string): string[] {
  return text.split(/(?= )/)
}
