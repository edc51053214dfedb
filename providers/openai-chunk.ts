/** A chunk of a stream in OpenAI's dialect, as servers of many kinds send it, and what is looked up in it. */
import { asObject } from './json.ts'
import { type Change, changeMembers, objectMembers } from './json-members.ts'

export interface Chunk {
  id?: unknown
  created?: unknown
  model?: unknown
  service_tier?: unknown
  system_fingerprint?: unknown
  usage?: unknown
  /** Groq's own member, in which it repeats the usage, or states it alone. */
  x_groq?: unknown
  error?: unknown
  choices?: unknown
}

export interface Choice {
  index?: unknown
  finish_reason?: unknown
  delta?: Record<string, unknown>
  /** In place of a delta, by servers that mix up the two or know neither. */
  message?: unknown
  text?: unknown
  error?: unknown
}

export function choicesOf(chunk: Chunk | null): Choice[] {
  const choices: unknown[] = Array.isArray(chunk?.choices) ? chunk.choices : []
  return choices.filter((choice): choice is Choice => typeof choice === 'object' && choice !== null)
}

export function indexOf({ index }: Choice): number {
  return typeof index === 'number' ? index : 0
}

/** What a frame says went wrong: on top, in a choice, or by a finish reason that is no way to finish. */
export function failureIn(chunk: Chunk, parts: readonly Choice[]): unknown {
  if (chunk.error !== undefined && chunk.error !== null) return chunk
  const failed = parts.find((choice) => asObject(choice.error) !== null || choice.finish_reason === 'error')
  return failed === undefined ? null : { error: asObject(failed.error) ?? {} }
}

/** Usage goes out in a frame of its own, if at all. */
export function withoutUsage(chunk: Chunk, payload: Buffer): Change[] {
  const changes: Change[] = []
  if (chunk.usage !== undefined && chunk.usage !== null) changes.push({ key: 'usage', remove: true })
  if (asObject(asObject(chunk.x_groq)?.usage) !== null) {
    const own = memberText(payload, ['x_groq'])
    if (own !== null) {
      const rest = changeMembers(own, objectMembers(own), [{ key: 'usage', remove: true }])
      changes.push({ key: 'x_groq', value: rest.toString('utf8') })
    }
  }
  return changes
}

/** The text of a member, or of a member of it. */
export function memberText(payload: Buffer, path: readonly string[]): Buffer | null {
  let text = payload
  for (const key of path) {
    const member = objectMembers(text).find((candidate) => candidate.key === key)
    if (member === undefined) return null
    text = text.subarray(member.valueStart, member.end)
  }
  return text
}
