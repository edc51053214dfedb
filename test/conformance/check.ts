/** What must be true of a replayed recording. Each difference is a sentence; none means it passed. */
import { isDeepStrictEqual } from 'node:util'
import type { Oracle, OracleUsage, Recording } from './recording.ts'
import type { Replayed, Variant } from './replay.ts'

/** A difference that is meant: the status of our own account's troubles is not the caller's. */
export function statusFor(recording: Recording): { status: number; exception: string | null } {
  const { status, body } = recording
  if (status === 401 || status === 403) {
    return { status: 503, exception: `the provider's ${status} rejects our key, not the caller's: 503` }
  }
  if (status === 429 && body.includes('insufficient_quota')) {
    return { status: 503, exception: "the quota of our account is used up, not the caller's: 503" }
  }
  return { status, exception: null }
}

export function differences(recording: Recording, variant: Variant, replayed: Replayed): string[] {
  const found: string[] = []
  const expect = (what: string, actual: unknown, expected: unknown) => {
    if (!isDeepStrictEqual(actual, expected)) found.push(`${what}: ${show(actual)} instead of ${show(expected)}`)
  }
  expect('what reached the provider', withoutOurs(replayed.received), withoutOurs(replayed.sent))
  expect(
    'usage is asked for',
    replayed.received?.stream_options,
    recording.stream ? { include_usage: true } : undefined,
  )
  expect('status', replayed.status, statusFor(recording).status)
  if (found.length > 0) return found
  if (recording.oracle === null) checkError(recording, replayed, expect)
  else if (recording.stream) checkStream(recording, recording.oracle, variant, replayed, expect)
  else checkJson(recording, recording.oracle, replayed, expect)
  checkBooks(recording.oracle, replayed, expect)
  return found
}

/** A request without what the product may change: what says whether usage is stated, and the cap on output. */
function withoutOurs(request: Record<string, unknown> | null): Record<string, unknown> | null {
  if (request === null) return null
  const { stream_options: _, max_tokens: __, max_completion_tokens: ___, ...rest } = request
  return rest
}

type Expect = (what: string, actual: unknown, expected: unknown) => void

interface Message {
  content?: unknown
  tool_calls?: { index?: number; function?: { name?: string; arguments?: string } }[]
}

interface Choice {
  index?: number
  finish_reason?: string | null
  message?: Message
  delta?: Message
}

interface Chunk {
  choices?: Choice[]
  usage?: Record<string, unknown> | null
}

function checkError(recording: Recording, replayed: Replayed, expect: Expect): void {
  const body = JSON.parse(replayed.body.toString()) as { error: Record<string, unknown>; detail: unknown }
  expect('detail', body.detail, body.error.message)
  const recorded = parse(recording.body.toString()) as { error?: Record<string, unknown> } | null
  if (replayed.status === 400) {
    for (const member of ['message', 'type', 'param'])
      expect(`error.${member}`, body.error[member], recorded?.error?.[member])
  }
  if (replayed.status === 429 || replayed.status === 503)
    expect('Retry-After', /^\d+$/.test(String(replayed.headers['retry-after'])), true)
}

function checkJson(recording: Recording, oracle: Oracle, replayed: Replayed, expect: Expect): void {
  const text = replayed.body.toString()
  expect('bytes but for usage.cost', text.replace(/,"cost":[\d.]+/, ''), recording.body.toString())
  const body = JSON.parse(text) as Chunk
  const message = body.choices?.[0]?.message
  expect('text', message?.content ?? '', oracle.text)
  expect('tool calls', (message?.tool_calls ?? []).map(toolCall), oracle.tool_calls)
  expect('finish reason', body.choices?.[0]?.finish_reason, oracle.native_finish)
  if (oracle.usage !== null) checkUsage('usage', body.usage, oracle.usage, expect)
  expect('X-Cost-Incurred', /^\d+\.\d{6}$/.test(String(replayed.headers['x-cost-incurred'])), true)
  expect(
    'usage.cost in dollars is X-Cost-Incurred in credits',
    Number(body.usage?.cost).toFixed(9),
    (Number(replayed.headers['x-cost-incurred']) / 1000).toFixed(9),
  )
}

function checkStream(recording: Recording, oracle: Oracle, variant: Variant, replayed: Replayed, expect: Expect): void {
  const frames = framesOf(replayed.body)
  expect('last frame', frames.pop(), 'data: [DONE]')
  const usageFrame = variant.includeUsage ? frames.pop() : undefined
  expect('frames that may pass', frames, framesOf(recording.body).filter(mayPass))
  const chunks = frames.map((frame) => parse(frame.slice(6)) as Chunk)
  const first = chunks.flatMap((chunk) => chunk.choices ?? []).filter((choice) => (choice.index ?? 0) === 0)
  expect('text', first.map((choice) => choice.delta?.content ?? '').join(''), oracle.text)
  expect('tool calls', joinToolCalls(first), oracle.tool_calls)
  expect(
    'finish reasons',
    first.map((choice) => choice.finish_reason ?? null).filter((reason) => reason !== null),
    [oracle.native_finish],
  )
  if (usageFrame === undefined) return
  const { choices, usage } = parse(usageFrame.slice(6)) as Chunk
  expect('choices of the usage frame', choices, [])
  expect('usage.cost', typeof usage?.cost, 'number')
  if (oracle.usage !== null) checkUsage('usage frame', usage, oracle.usage, expect)
}

function checkBooks(oracle: Oracle | null, { call }: Replayed, expect: Expect): void {
  expect('status in the books', call?.status, 'settled')
  if (oracle === null) {
    expect('outcome in the books', [call?.outcome, call?.credits], ['failed', '0'])
    return
  }
  expect('outcome in the books', call?.outcome, 'answered')
  expect('provenance in the books', call?.provenance, oracle.usage === null ? 'estimated' : 'provider_usage')
  const usage = call?.usage as Record<string, unknown> | null | undefined
  if (oracle.usage !== null) checkUsage('usage in the books', usage, oracle.usage, expect)
  else {
    const said = oracle.text !== '' || oracle.tool_calls.length > 0
    expect('estimated input', Number(usage?.prompt_tokens) > 0, true)
    expect('estimated output', Number(usage?.completion_tokens) > 0, said)
  }
}

function checkUsage(
  where: string,
  usage: Record<string, unknown> | null | undefined,
  oracle: OracleUsage,
  expect: Expect,
): void {
  const input = (usage?.prompt_tokens_details ?? {}) as Partial<Record<string, number>>
  const output = (usage?.completion_tokens_details ?? {}) as Partial<Record<string, number>>
  expect(
    where,
    {
      input_tokens: usage?.prompt_tokens,
      cache_read: input.cached_tokens ?? 0,
      cache_write: input.cache_write_tokens ?? 0,
      output_tokens: usage?.completion_tokens,
      reasoning: output.reasoning_tokens ?? 0,
      total: usage?.total_tokens,
    },
    { ...oracle },
  )
}

function framesOf(body: Buffer): string[] {
  return body
    .toString()
    .split('\n\n')
    .filter((frame) => frame.trim() !== '')
}

/** All but [DONE] and the frame that carries nothing but usage. */
function mayPass(frame: string): boolean {
  if (frame === 'data: [DONE]') return false
  const chunk = parse(frame.slice(6)) as Chunk
  return !(chunk.usage !== undefined && chunk.usage !== null && chunk.choices?.length === 0)
}

function toolCall(call: { function?: { name?: string; arguments?: string } }): { name: string; arguments: unknown } {
  return { name: call.function?.name ?? '', arguments: parse(call.function?.arguments ?? '') }
}

function joinToolCalls(choices: Choice[]): { name: string; arguments: unknown }[] {
  const calls: { function: { name: string; arguments: string } }[] = []
  for (const part of choices.flatMap((choice) => choice.delta?.tool_calls ?? [])) {
    const index = part.index ?? 0
    const call = calls[index] ?? { function: { name: '', arguments: '' } }
    calls[index] = call
    call.function.name += part.function?.name ?? ''
    call.function.arguments += part.function?.arguments ?? ''
  }
  return calls.map(toolCall)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function show(value: unknown): string {
  const text = String(JSON.stringify(value))
  return text.length <= 300 ? text : `${text.slice(0, 300)}...`
}
