/** The items of an output, in their final form. */
import { asObject, parseJson } from '../../../../providers/json.ts'
import type { NamedTool } from './tool-names.ts'

type Json = Readonly<Record<string, unknown>>
export type Status = 'in_progress' | 'completed' | 'incomplete'

export function reasoningItem(id: string, text: string): Json {
  return { id, type: 'reasoning', summary: text === '' ? [] : [{ type: 'summary_text', text }] }
}

export function textPart(text: string): Json {
  return { type: 'output_text', text, annotations: [], logprobs: [] }
}

export function messageItem(id: string, status: Status, content: readonly Json[]): Json {
  return { id, type: 'message', status, role: 'assistant', content }
}

export interface Call {
  id: string
  callId: string
  tool: NamedTool
}

/** @param args the arguments of the function; for a tool whose input is a text, they hold that text. */
export function callItem({ id, callId, tool }: Call, status: Status, args: string): Json {
  const { name, namespace, isCustom } = tool
  const common = { id, status, call_id: callId, name, ...(namespace === null ? {} : { namespace }) }
  return isCustom
    ? { ...common, type: 'custom_tool_call', input: inputIn(args) }
    : { ...common, type: 'function_call', arguments: args }
}

/** Arguments without that text are the input as they were written: the client's tool reports what is wrong. */
export function inputIn(args: string): string {
  const input = asObject(parseJson(args))?.input
  return typeof input === 'string' ? input : args
}
