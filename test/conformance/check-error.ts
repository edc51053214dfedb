/** Answers that are errors: our own envelope, a message that helps, nothing of our account. */
import type { Expect } from './check.ts'
import { secretsIn, statedMessages } from './expected.ts'
import type { Json } from './frames.ts'
import type { Recording } from './recording.ts'
import type { Replayed } from './replay.ts'

export function checkError(recording: Recording, { status, headers, body }: Replayed, expect: Expect): void {
  const text = body.toString()
  const { error, detail } = JSON.parse(text) as { error: Json; detail: unknown }
  expect('detail', detail, error.message)
  expect('error.message', typeof error.message === 'string' && error.message !== '', true)
  for (const secret of secretsIn(recording.body.toString()))
    expect(`our account's ${secret} in the answer`, text.includes(secret), false)
  if (status === 429 || status === 503) checkRetry(recording, headers['retry-after'], expect)
  else checkHelp(recording, error, expect)
}

/** As long as the provider says, where it says so. */
function checkRetry(recording: Recording, shown: string | undefined, expect: Expect): void {
  expect('Retry-After', /^[1-9]\d*$/.test(String(shown)), true)
  const header = Object.entries(recording.headers).find(([name]) => name.toLowerCase() === 'retry-after')?.[1]
  const delay = /"retryDelay":\s*"([\d.]+)s"/.exec(recording.body.toString())?.[1]
  const stated = header ?? delay
  if (stated !== undefined) expect('Retry-After', Number(shown), Math.ceil(Number(stated)))
}

/** What is wrong with the request is said in the provider's own words, as far as they are not about our account. */
function checkHelp(recording: Recording, error: Json, expect: Expect): void {
  const stated = statedMessages(recording)
  const open = stated.filter((message) => secretsIn(message).length === 0)
  if (open.length > 0 && !open.includes(String(error.message))) expect('error.message', error.message, open[0])
  const code = (JSON.parse(JSON.stringify(parseError(recording))) as Json | null)?.code
  if (typeof code === 'string' && open.length > 0) expect('error.code is said', typeof error.code, 'string')
}

function parseError({ body }: Recording): unknown {
  try {
    return (JSON.parse(body.toString()) as { error?: unknown }).error ?? null
  } catch {
    return null
  }
}
