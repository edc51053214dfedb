/** A content block of a stream that is not over yet. */
import { asObject, parseJson } from '../json.ts'
import type { Carried } from './carried.ts'

export interface TextBlock {
  kind: 'text'
  start: number
  citations: unknown[]
}
export interface ToolBlock {
  kind: 'tool'
  index: number
  id: string
  name: string
  /** As it stood at the start: a server that sends no pieces has it all there. */
  input: unknown
  held: string
  sent: boolean
}
/** The call that carries a response's form: its arguments are the content. */
export interface FormBlock {
  kind: 'form'
  input: unknown
  empty: boolean
}
export interface CarriedBlock {
  kind: 'carried'
  block: Record<string, unknown>
  pieces: string[]
  input: string[]
  text: number
  tools: number
}
export type OpenBlock = TextBlock | ToolBlock | FormBlock | CarriedBlock

/** The block as it came, whole: what its caller gets to send back with the next turn. */
export function wholeBlock({ block, pieces, input, text, tools }: CarriedBlock): Carried {
  const whole = { ...block }
  if (whole.type === 'thinking') whole.thinking = pieces.join('')
  else if (whole.type === 'compaction' && pieces.length > 0) whole.content = pieces.join('')
  if (input.length > 0) whole.input = asObject(parseJson(input.join(''))) ?? {}
  return { block: whole, text, tools }
}
