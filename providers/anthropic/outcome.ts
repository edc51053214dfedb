/** Claude's stop reasons and citations in OpenAI's words. */
import { asObject } from '../json.ts'

type Members = Readonly<Record<string, unknown>>
export type FinishReason = 'stop' | 'length' | 'tool_calls' | 'content_filter'

const FINISH: Readonly<Record<string, FinishReason>> = {
  end_turn: 'stop',
  stop_sequence: 'stop',
  // The turn is not over: it goes on when it is sent back as it came. The native reason says so.
  pause_turn: 'stop',
  tool_use: 'tool_calls',
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  refusal: 'content_filter',
}
/** Reasons whose whole meaning OpenAI's word holds. */
const PLAIN = new Set(['end_turn', 'tool_use', 'max_tokens'])

export interface Outcome {
  finish: FinishReason
  /** Claude's own word, where OpenAI's says less. */
  native: string | null
  /** Why it declined. */
  refusal: string | null
}

/** `calls`: tool calls the caller sees; the call that carries a response's form is not one. */
export function readOutcome(reason: unknown, details: unknown, calls: number): Outcome {
  const stated = typeof reason === 'string' ? reason : ''
  const known = Object.hasOwn(FINISH, stated) ? FINISH[stated] : undefined
  const mapped = known ?? (calls > 0 ? 'tool_calls' : 'stop')
  const explanation = asObject(details)?.explanation
  return {
    finish: mapped === 'tool_calls' && calls === 0 ? 'stop' : mapped,
    native: stated === '' || PLAIN.has(stated) ? null : stated,
    refusal: stated === 'refusal' && typeof explanation === 'string' && explanation !== '' ? explanation : null,
  }
}

/** A citation of the text from `start` to `end`: OpenAI's for pages of the web, the same in shape for documents. */
export function annotation(citation: unknown, start: number, end: number): Record<string, unknown> {
  const cited: Members = asObject(citation) ?? {}
  const place = { start_index: start, end_index: end }
  if (typeof cited.url === 'string') {
    const { url, title, cited_text: text } = cited
    return {
      type: 'url_citation',
      url_citation: { ...place, url, title: title ?? '', ...(typeof text === 'string' ? { content: text } : {}) },
    }
  }
  const { type, ...rest } = cited
  return {
    type: 'file_citation',
    file_citation: { ...place, ...(typeof type === 'string' ? { kind: type } : {}), ...rest },
  }
}

const NOT_CARRIED = new Set(['text', 'tool_use', 'fallback'])

/** Blocks that go back to Claude as they came: thoughts, and what server-side tools did. A change of model does not. */
export function isCarried(type: unknown): boolean {
  return typeof type === 'string' && !NOT_CARRIED.has(type)
}
