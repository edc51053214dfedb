/** What an answer says: text and calls of tools, as the recording is known to say them. */
import { createHash } from 'node:crypto'
import type { Expect } from './check.ts'
import { type Choice, type Json, object, parse } from './frames.ts'
import type { Oracle } from './recording.ts'

export function checkText(content: unknown, { text }: Oracle, expect: Expect): void {
  const actual = String(content ?? '')
  if (typeof text !== 'string') {
    expect('fingerprint of the text', createHash('sha256').update(actual).digest('hex'), text.sha256)
    return
  }
  // Thoughts that a provider marks inside the text may stand apart from it.
  const without = text.replace(/<thought>[\s\S]*?<\/thought>/, '')
  expect('text', actual, actual === without ? without : text)
}

export function toolCalls(calls: unknown): Oracle['tool_calls'] {
  return (Array.isArray(calls) ? (calls as Json[]) : []).map((call) => {
    const { name, arguments: args } = object(call.function) ?? {}
    return { name: String(name ?? ''), arguments: parse(String(args ?? '')) }
  })
}

/** The calls of a stream, put together by index as clients do. */
export function joinToolCalls(choices: readonly Choice[]): Oracle['tool_calls'] {
  const calls: { function: { name: string; arguments: string } }[] = []
  for (const part of choices.flatMap(({ delta }) => (delta?.tool_calls ?? []) as Json[])) {
    const index = typeof part.index === 'number' ? part.index : -1
    const call = calls[index] ?? { function: { name: '', arguments: '' } }
    calls[index] = call
    const { name, arguments: args } = object(part.function) ?? {}
    call.function.name += typeof name === 'string' ? name : ''
    call.function.arguments += typeof args === 'string' ? args : ''
  }
  return toolCalls(calls)
}
