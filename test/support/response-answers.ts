/** Responses as OpenAI sends them, whole and as events: plain values, so that a test reads as what the provider does. */
import { type ModelEntry, modelOn } from './tollgate.ts'
import type { Answer, Handler } from './upstream-answers.ts'

export type Json = Record<string, unknown>

/** 11 tokens in, 2 of them cached, 5 out, 1 of them thought. */
export const RESPONSE_USAGE = {
  input_tokens: 11,
  input_tokens_details: { cached_tokens: 2 },
  output_tokens: 5,
  output_tokens_details: { reasoning_tokens: 1 },
  total_tokens: 16,
}

/** A model whose server speaks Responses behind its address. */
export function respondingOn(upstreamUrl: string, name: string, params: Json = {}): ModelEntry {
  const entry = modelOn(upstreamUrl, name, params)
  return { ...entry, model_info: { ...entry.model_info, supported_endpoints: ['/v1/responses'] } }
}

export interface ResponseOptions {
  model?: string
  /** Null: the provider states none. */
  usage?: Json | null
  /** Of the response at its end. */
  more?: Json
}

export function message(text: string, id = 'msg_1'): Json {
  const content = [{ type: 'output_text', text, annotations: [], logprobs: [] }]
  return { id, type: 'message', status: 'completed', role: 'assistant', content }
}

export function functionCall(name: string, args: Json, call_id: string): Json {
  return {
    id: `fc_${call_id}`,
    type: 'function_call',
    status: 'completed',
    name,
    arguments: JSON.stringify(args),
    call_id,
  }
}

/** With what they are encrypted to. */
export function thoughts(summary: string, encrypted_content: string, id = 'rs_1'): Json {
  return { id, type: 'reasoning', summary: [{ type: 'summary_text', text: summary }], encrypted_content }
}

function responseOf(output: readonly Json[], { model = 'gpt-4o-mini-2024-07-18', usage, more }: ResponseOptions): Json {
  return {
    id: 'resp_1',
    object: 'response',
    created_at: 1_700_000_000,
    status: 'completed',
    error: null,
    incomplete_details: null,
    instructions: null,
    metadata: {},
    model,
    output,
    parallel_tool_calls: true,
    temperature: 1,
    tool_choice: 'auto',
    tools: [],
    top_p: 1,
    usage: usage === undefined ? RESPONSE_USAGE : usage,
    ...more,
  }
}

export function wholeResponse(output: readonly Json[], options: ResponseOptions = {}): Answer {
  return { headers: { 'content-type': 'application/json' }, frames: [JSON.stringify(responseOf(output, options))] }
}

export function eventOf(type: string, members: Json = {}): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...members })}\n\n`
}

/** The events, numbered; the text of each item comes in words. */
export function responseEvents(output: readonly Json[], options: ResponseOptions = {}): string[] {
  const done = responseOf(output, options)
  const begun = { ...done, status: 'in_progress', output: [], usage: null }
  const events: [string, Json][] = [
    ['response.created', { response: begun }],
    ['response.in_progress', { response: begun }],
    ...output.flatMap((item, output_index) => itemEvents(item, { output_index })),
    [`response.${String(done.status)}`, { response: done }],
  ]
  return events.map(([type, members], sequence_number) => eventOf(type, { ...members, sequence_number }))
}

function itemEvents(item: Json, place: Json): [string, Json][] {
  const at = { ...place, item_id: item.id }
  const added = (open: Json): [string, Json] => [
    'response.output_item.added',
    { ...place, item: { ...item, status: 'in_progress', ...open } },
  ]
  const done: [string, Json] = ['response.output_item.done', { ...place, item }]
  if (item.type === 'message') {
    const [part] = item.content as [Json]
    const in0 = { ...at, content_index: 0 }
    return [
      added({ content: [] }),
      ['response.content_part.added', { ...in0, part: { ...part, text: '' } }],
      ...words(part.text).map((delta): [string, Json] => [
        'response.output_text.delta',
        { ...in0, delta, logprobs: [], obfuscation: 'xY12' },
      ]),
      ['response.output_text.done', { ...in0, text: part.text, logprobs: [] }],
      ['response.content_part.done', { ...in0, part }],
      done,
    ]
  }
  if (item.type === 'function_call')
    return [
      added({ arguments: '' }),
      ...words(item.arguments).map((delta): [string, Json] => [
        'response.function_call_arguments.delta',
        { ...at, delta },
      ]),
      ['response.function_call_arguments.done', { ...at, arguments: item.arguments }],
      done,
    ]
  if (item.type === 'custom_tool_call')
    return [
      added({ input: '' }),
      ...words(item.input).map((delta): [string, Json] => ['response.custom_tool_call_input.delta', { ...at, delta }]),
      ['response.custom_tool_call_input.done', { ...at, input: item.input }],
      done,
    ]
  if (item.type === 'reasoning') {
    const [part] = item.summary as [Json]
    const in0 = { ...at, summary_index: 0 }
    return [
      added({ summary: [], encrypted_content: null }),
      ['response.reasoning_summary_part.added', { ...in0, part: { ...part, text: '' } }],
      ...words(part.text).map((delta): [string, Json] => ['response.reasoning_summary_text.delta', { ...in0, delta }]),
      ['response.reasoning_summary_text.done', { ...in0, text: part.text }],
      ['response.reasoning_summary_part.done', { ...in0, part }],
      done,
    ]
  }
  return [added({}), done]
}

function words(text: unknown): string[] {
  return String(text).split(/(?= )/)
}

export function streamedResponse(output: readonly Json[], options: ResponseOptions = {}): Answer {
  return { headers: { 'content-type': 'text/event-stream' }, frames: responseEvents(output, options) }
}

/** Streams or not, as the request asks. */
export function responds(output: readonly Json[], options: ResponseOptions = {}): Handler {
  return ({ json }) => (json?.stream === true ? streamedResponse(output, options) : wholeResponse(output, options))
}
