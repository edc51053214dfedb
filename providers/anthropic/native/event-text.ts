/** The output text of one event: content, thoughts, names and arguments of calls, and of an unknown kind all there is. */
import { asObject, parseJson } from '../../json.ts'
import { parseFrame } from '../../sse-frames.ts'

export function eventText(frame: Buffer): string {
  const json = asObject(parseJson(parseFrame(frame).data))
  const texts: string[] = []
  collect([json?.delta, json?.content_block], texts)
  return texts.join('')
}

/** What only tells what stands beside it, or closes a thought: no text of the model's. */
const SILENT = new Set(['type', 'id', 'signature', 'tool_use_id', 'cache_control', 'caller'])

/** Nests no deeper than a parser took it: an event is small, and what is large stays one string. */
function collect(value: unknown, texts: string[]): void {
  if (typeof value === 'string') texts.push(value)
  else if (Array.isArray(value)) for (const one of value) collect(one, texts)
  else if (typeof value === 'object' && value !== null)
    for (const [name, member] of Object.entries(value)) if (!SILENT.has(name)) collect(member, texts)
}
