/** What must be true of a replayed recording. Each difference is a sentence that begins with what it is about; none means it passed. */
import { isDeepStrictEqual } from 'node:util'
import { asObject } from '../../providers/json.ts'
import { UPSTREAM_KEY } from '../support/tollgate.ts'
import { checkBooks } from './check-books.ts'
import { checkError } from './check-error.ts'
import { checkJson } from './check-json.ts'
import { checkStream } from './check-stream.ts'
import { dialectOf, modelOf } from './dialects.ts'
import { expectedStatus } from './expected.ts'
import type { Json } from './frames.ts'
import type { Recording } from './recording.ts'
import type { Replayed, Variant } from './replay.ts'

export type Expect = (what: string, actual: unknown, expected: unknown) => void

export function differences(recording: Recording, variant: Variant, replayed: Replayed): string[] {
  const found: string[] = []
  const expect: Expect = (what, actual, expected) => {
    if (!isDeepStrictEqual(actual, expected)) found.push(`${what}: ${show(actual)} instead of ${show(expected)}`)
  }
  if (replayed.received === null) {
    found.push(`the provider was not called once: ${replayed.status} ${replayed.body.toString('utf8', 0, 300)}`)
    return found
  }
  if (dialectOf(recording.provider).speaksOpenAi) checkRequest(recording, replayed, expect)
  expect('our key in the address', replayed.received.path.includes(UPSTREAM_KEY), false)
  expect('our key in the headers', Object.values(replayed.received.headers).join(' ').includes(UPSTREAM_KEY), true)
  const { statuses } = expectedStatus(recording)
  if (!statuses.includes(replayed.status)) {
    const shown = replayed.body.toString('utf8', 0, 300)
    found.push(`status: ${replayed.status} instead of ${statuses.join(' or ')}: ${shown}`)
    return found
  }
  checkHeaders(replayed, expect)
  if (recording.oracle === null) checkError(recording, replayed, expect)
  else if (recording.stream) checkStream(recording, recording.oracle, variant, replayed, expect)
  else checkJson(recording, recording.oracle, replayed, expect)
  checkBooks(recording, replayed, expect)
  return found
}

/** The caller's request, but for the model's name, what says whether usage is stated, and where the cap on output stands. */
function checkRequest(recording: Recording, { sent, received }: Replayed, expect: Expect): void {
  const json = received?.json ?? {}
  expect('what reached the provider', withoutOurs(json), { ...withoutOurs(sent), model: modelOf(recording) })
  expect('usage is asked for', json.stream_options, recording.stream ? { include_usage: true } : undefined)
  if (capOf(sent) !== undefined) expect('the cap that reached the provider', capOf(json), capOf(sent))
}

/** Nothing of what the provider says about our account or its own pace, which on a 200 is nobody's business. */
function checkHeaders({ status, headers }: Replayed, expect: Expect): void {
  const foreign = Object.keys(headers).filter((name) => /^(?:openai|anthropic|set-cookie|x-groq|cf-)/.test(name))
  expect("the provider's headers", foreign, [])
  if (status === 200) expect('Retry-After on a 200', headers['retry-after'], undefined)
}

function withoutOurs(request: Json): Json {
  const { stream_options: _, max_tokens: __, max_completion_tokens: ___, provider, ...rest } = request
  const { max_price: ____, ...routing } = asObject(provider) ?? {}
  return Object.keys(routing).length === 0 ? rest : { ...rest, provider: routing }
}

function capOf({ max_tokens, max_completion_tokens }: Json): unknown {
  return max_completion_tokens ?? max_tokens ?? undefined
}

function show(value: unknown): string {
  const text = String(JSON.stringify(value, (_, member) => (typeof member === 'bigint' ? String(member) : member)))
  return text.length <= 300 ? text : `${text.slice(0, 300)}...`
}
