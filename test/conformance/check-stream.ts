/** A stream: the canonical form, what it says, one end, usage only where it was asked for, and nothing else changed. */
import type { Expect } from './check.ts'
import { checkText, joinToolCalls } from './check-content.ts'
import { COST_MEMBERS, checkShownUsage } from './check-usage.ts'
import { isComparable } from './dialects.ts'
import { expectedFinish } from './expected.ts'
import { choicesOf, eventsOf, failures, type Json, object, parse, placesOf, said } from './frames.ts'
import type { Oracle, Recording } from './recording.ts'
import type { Replayed, Variant } from './replay.ts'

const DONE = 'data: [DONE]'
/** Our own: the connection is kept open, the books are late. */
const COMMENTS = [': keep-alive', ': settlement pending']
const FINISH_REASONS = new Set(['stop', 'length', 'tool_calls', 'content_filter', 'function_call'])
const USAGE_MEMBERS = new Set(['usage'])

export function checkStream(
  recording: Recording,
  oracle: Oracle,
  variant: Variant,
  replayed: Replayed,
  expect: Expect,
): void {
  const recorded = eventsOf(recording.body)
  const failed = failures(recorded).length > 0
  const chunks = canonicalChunks(replayed.body, failed, expect)
  const errors = chunks.filter((chunk) => object(chunk.error) !== null)
  expect('error frames', errors.length, failed ? 1 : 0)
  const usage = variant.includeUsage && !failed ? (chunks.pop() ?? {}) : null
  const content = chunks.filter((chunk) => !errors.includes(chunk))
  expect('usage in other frames', placesOf(content, USAGE_MEMBERS), [])
  checkEnds(recording, oracle, content, expect)
  checkSaid(oracle, content, expect)
  const named = [...content, ...(usage === null ? [] : [usage])].map(({ model }) => model ?? '')
  const others = named.filter((model) => model !== '' && model !== replayed.sent.model)
  expect('names of other models than the one that was asked for', others, [])
  if (isComparable(recording)) {
    const before = recorded.map(({ json }) => json).filter((json): json is Json => json !== null && !json.error)
    expect('what the frames say', said(content), said(before))
  }
  expect('cost members of the provider', placesOf([...chunks, usage], COST_MEMBERS), [])
  if (usage === null) return
  expect('choices of the usage frame', usage.choices, [])
  checkShownUsage('usage frame', object(usage.usage), recording, oracle, replayed, expect)
}

/** `data: {json}` and an empty line each, then [DONE]; after an error nothing has to come. */
function canonicalChunks(body: Buffer, failed: boolean, expect: Expect): Json[] {
  const frames = body.toString().split('\n\n')
  expect('what follows the last frame', frames.pop(), '')
  const plain = frames.filter((frame) => !COMMENTS.includes(frame))
  if (!failed || plain.at(-1) === DONE) expect('last frame', plain.pop(), DONE)
  return plain.map((frame) => {
    const json = /^data: \{[^\n\r]*$/.test(frame) ? object(parse(frame.slice(6))) : null
    if (json === null) expect('a frame', frame, 'data: and a JSON object in one line')
    return json ?? {}
  })
}

/** Each choice starts with its role, said once, and ends once. */
function checkEnds(recording: Recording, oracle: Oracle, chunks: readonly Json[], expect: Expect): void {
  const choices = Map.groupBy(chunks.flatMap(choicesOf), ({ index }) => index)
  const finish = expectedFinish(recording, oracle)
  for (const [index, parts] of choices) {
    const reasons = parts.map(({ finish_reason: reason }) => reason ?? null).filter((reason) => reason !== null)
    const known = finish === null ? [] : index === 0 ? [finish] : reasons.slice(0, 1)
    expect(`finish reasons of choice ${index}`, reasons, known)
    for (const reason of reasons) expect('a known finish reason', FINISH_REASONS.has(String(reason)), true)
    const roles = parts.map(({ delta }) => delta?.role ?? null).filter((role) => role !== null)
    expect(`role of choice ${index}`, roles[0], 'assistant')
    // Clients that join texts make `assistantassistant` of a second one.
    expect(`how often choice ${index} says its role`, roles.length, 1)
  }
}

function checkSaid(oracle: Oracle, chunks: readonly Json[], expect: Expect): void {
  const first = chunks.flatMap(choicesOf).filter(({ index }) => index === 0)
  const text = first.map(({ delta }) => delta?.content ?? '').join('')
  checkText(text, oracle, expect)
  expect('tool calls', joinToolCalls(first), oracle.tool_calls)
}
