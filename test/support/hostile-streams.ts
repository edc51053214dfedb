/** Streams that cost a careless reader more than they are long, in each dialect: what a server that means harm could send. */

export interface HostileStream {
  name: string
  dialect: 'openai' | 'anthropic' | 'google'
  make(bytes: number): Buffer
}

const frame = (json: unknown) => `data: ${JSON.stringify(json)}\n\n`

function repeated(
  dialect: HostileStream['dialect'],
  name: string,
  make: (index: number) => string,
  first = '',
): HostileStream {
  return {
    name,
    dialect,
    make(bytes) {
      const count = Math.max(1, Math.floor(bytes / make(1_000).length))
      return Buffer.from(first + Array.from({ length: count }, (_, index) => make(index)).join(''))
    },
  }
}

const chunk = (choices: unknown[], more: object = {}) => frame({ id: 'c', model: 'm', choices, ...more })
const USAGE = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 }
const START = frame({
  type: 'message_start',
  message: { id: 'm', model: 'claude-x', usage: { input_tokens: 1, output_tokens: 1 } },
})
const gemini = (candidate: unknown, more: object = {}) =>
  frame({ candidates: [candidate], modelVersion: 'gemini-x', ...more })

export const HOSTILE_STREAMS: readonly HostileStream[] = [
  repeated('openai', 'content', () => chunk([{ index: 0, delta: { content: 'a' } }])),
  repeated('openai', 'roles alone', () => chunk([{ index: 0, delta: { role: 'assistant' } }])),
  repeated('openai', 'choices without number', (index) => chunk([{ index, delta: { content: 'a' } }])),
  repeated('openai', 'choices that end, each with usage', (index) =>
    chunk([{ index, delta: {}, finish_reason: 'stop' }], { usage: USAGE }),
  ),
  repeated('openai', 'tool calls', (index) =>
    chunk([{ index: 0, delta: { tool_calls: [{ index, id: `c${index}`, function: { name: 'f', arguments: '{' } }] } }]),
  ),
  repeated('openai', 'comments', () => ': x\n\n'),
  repeated('openai', 'empty lines', () => '\n\n'),
  repeated('openai', 'data lines without an end', () => 'data: {"a":\n'),
  repeated('openai', 'line ends of the other kind', () => 'data: x\r\r'),
  repeated('openai', 'named events', (index) => `event: e${index}\ndata: {}\n\n`),
  repeated('openai', 'models that change', (index) =>
    frame({ id: 'c', model: `m${index}`, choices: [{ index: 0, delta: { content: 'a' } }] }),
  ),
  {
    name: 'one frame of deltas',
    dialect: 'openai',
    make: (bytes) =>
      Buffer.from(`data: {"choices":[${'{"delta":{"content":"a"}},'.repeat(Math.floor(bytes / 26))}{}]}\n\n`),
  },
  {
    name: 'one frame of brackets',
    dialect: 'openai',
    make: (bytes) => Buffer.from(`data: ${'{"delta":'.repeat(Math.floor(bytes / 9))}\n\n`),
  },
  { name: 'one frame without an end', dialect: 'openai', make: (bytes) => Buffer.from(`data: ${'x'.repeat(bytes)}`) },
  {
    name: 'one frame of backslashes',
    dialect: 'openai',
    make: (bytes) => Buffer.from(`data: {"choices":[{"delta":{"content":"${'\\\\'.repeat(bytes / 2)}"}}]}\n\n`),
  },
  repeated(
    'anthropic',
    'text',
    () => frame({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'a' } }),
    START,
  ),
  repeated(
    'anthropic',
    'blocks without an end',
    (index) =>
      frame({
        type: 'content_block_start',
        index,
        content_block: { type: 'tool_use', id: `t${index}`, name: 'f', input: {} },
      }),
    START,
  ),
  repeated('anthropic', 'messages that begin again', (index) =>
    frame({ type: 'message_start', message: { id: `m${index}`, usage: { input_tokens: 1, output_tokens: 1 } } }),
  ),
  repeated(
    'anthropic',
    'signatures',
    () => frame({ type: 'content_block_delta', index: 0, delta: { type: 'signature_delta', signature: 'abcd' } }),
    START + frame({ type: 'content_block_start', index: 0, content_block: { type: 'thinking', thinking: '' } }),
  ),
  repeated(
    'anthropic',
    'thoughts before each call',
    (index) =>
      frame({
        type: 'content_block_start',
        index,
        content_block: { type: 'thinking', thinking: 'a', signature: 's' },
      }) +
      frame({ type: 'content_block_stop', index }) +
      frame({
        type: 'content_block_start',
        index,
        content_block: { type: 'tool_use', id: `t${index}`, name: 'f', input: {} },
      }) +
      frame({ type: 'content_block_stop', index }),
    START,
  ),
  repeated(
    'anthropic',
    'arguments',
    () => frame({ type: 'content_block_delta', index: 0, delta: { type: 'input_json_delta', partial_json: '"a' } }),
    START + frame({ type: 'content_block_start', index: 0, content_block: { type: 'tool_use', id: 't', name: 'f' } }),
  ),
  repeated('anthropic', 'usage', (index) => frame({ type: 'message_delta', usage: { output_tokens: index } }), START),
  {
    name: 'usage of many iterations, stated again and again',
    dialect: 'anthropic',
    make(bytes) {
      const one = { type: 'message', input_tokens: 1, output_tokens: 1, model: 'm100000' }
      const iterations = Array.from({ length: Math.floor(bytes / 2 / 75) }, (_, index) => ({
        ...one,
        model: `m${index}`,
      }))
      const usage = { input_tokens: 1, output_tokens: 1, iterations }
      const delta = frame({ type: 'message_delta', usage: { output_tokens: 1 } })
      return Buffer.from(
        frame({ type: 'message_start', message: { id: 'm', usage } }) +
          delta.repeat(Math.floor(bytes / 2 / delta.length)),
      )
    },
  },
  repeated(
    'anthropic',
    'citations',
    () =>
      frame({
        type: 'content_block_delta',
        index: 0,
        delta: { type: 'citations_delta', citation: { type: 'x', url: 'u' } },
      }),
    START + frame({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }),
  ),
  repeated('google', 'text', () => gemini({ index: 0, content: { parts: [{ text: 'a' }] } })),
  repeated('google', 'calls', (index) =>
    gemini({ index: 0, content: { parts: [{ functionCall: { name: 'f', id: `c${index}`, args: {} } }] } }),
  ),
  repeated('google', 'parts nobody knows', () => gemini({ index: 0, content: { parts: [{ toolCall: {} }] } })),
  repeated('google', 'sources that grow', (index) =>
    gemini({
      index: 0,
      content: { parts: [{ text: 'a' }] },
      groundingMetadata: { [`k${index}`]: 1, webSearchQueries: [`q${index}`] },
    }),
  ),
  repeated('google', 'models that change', (index) =>
    gemini(
      { index: 0, content: { parts: [{ text: 'a' }] } },
      { modelVersion: `gemini-${index}`, usageMetadata: { promptTokenCount: 1 } },
    ),
  ),
  {
    name: 'places in a long text',
    dialect: 'google',
    make(bytes) {
      const text = 'é'.repeat(bytes / 4)
      const support = { segment: { startIndex: 0, endIndex: text.length * 2 }, groundingChunkIndices: [0] }
      const supports = Array.from({ length: Math.floor(bytes / 2 / 80) }, () => support)
      const grounding = { groundingChunks: [{ web: { uri: 'u', title: 't' } }], groundingSupports: supports }
      return Buffer.from(
        gemini({ index: 0, content: { parts: [{ text }] }, finishReason: 'STOP', groundingMetadata: grounding }),
      )
    },
  },
  {
    name: 'one array instead of events',
    dialect: 'google',
    make: (bytes) =>
      Buffer.from(`[${'{"candidates":[{"content":{"parts":[{"text":"a"}]}}]},'.repeat(Math.floor(bytes / 53))}{}]`),
  },
]
