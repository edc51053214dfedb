/** What every refusal looks like, whatever it says. */
import { expect } from 'vitest'
import type { CallAnswer } from './tollgate.ts'

export interface Refusal {
  status: number
  code: string
  type?: string
  param?: string | null
  /** Further members of `error`, exactly. */
  fields?: Record<string, unknown>
}

/** The whole of an error answer: status, OpenAI's envelope, the string `detail`, and the ids to quote. Returns its message. */
export function expectRefusal(answer: CallAnswer, { status, code, type, param = null, fields = {} }: Refusal): string {
  const message = expect.stringMatching(/^[^\n]{10,400}[.>a-z]$/i)
  expect([answer.status, answer.json()]).toEqual([
    status,
    { error: { message, type: type ?? expect.any(String), param, code, ...fields }, detail: message },
  ])
  const { error, detail } = answer.json() as { error: { message: string }; detail: string }
  expect(detail).toBe(error.message)
  expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8')
  expect(answer.headers.get('x-litellm-call-id')).toMatch(/^[0-9a-f]{8}-[0-9a-f-]{27}$/)
  expect(answer.headers.get('x-request-id')).toBeTruthy()
  return detail
}
