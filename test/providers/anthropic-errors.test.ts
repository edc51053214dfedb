import { describe, expect, test } from 'vitest'
import { anthropic } from '../../providers/anthropic.ts'

const read = (status: number, error: unknown, headers: Record<string, string> = {}) => {
  const body = typeof error === 'string' ? error : JSON.stringify({ type: 'error', error, request_id: null })
  return anthropic.readError(status, headers, Buffer.from(body))
}

describe('an error of Anthropic', () => {
  test.each<[number, unknown, string]>([
    [400, { type: 'invalid_request_error', message: 'temperature: range: 0..1' }, 'bad_request'],
    [400, { type: 'invalid_request_error', message: 'Your credit balance is too low to use this.' }, 'quota'],
    [400, { type: 'invalid_request_error', message: 'prompt is too long: 9 tokens > 5 maximum' }, 'context_length'],
    [400, 'not json', 'bad_request'],
    [400, { type: 'invalid_request_error', message: 'Output blocked by content filtering policy' }, 'content_filter'],
    [401, { type: 'authentication_error', message: 'invalid x-api-key' }, 'auth'],
    [400, { type: 'authentication_error', message: 'x' }, 'auth'],
    [402, { type: 'billing_error', message: 'x' }, 'quota'],
    [403, { type: 'permission_error', message: 'x' }, 'auth'],
    [404, { type: 'not_found_error', message: 'model: x' }, 'model_not_found'],
    [404, '', 'model_not_found'],
    [413, { type: 'request_too_large', message: 'x' }, 'too_large'],
    [413, '<html>', 'too_large'],
    [422, '', 'bad_request'],
    [429, { type: 'rate_limit_error', message: 'x' }, 'rate_limit'],
    [500, { type: 'api_error', message: 'x' }, 'failed'],
    [502, '<html>', 'failed'],
    [503, 'upstream connect error', 'overloaded'],
    [504, { type: 'timeout_error', message: 'x' }, 'timeout'],
    [529, { type: 'overloaded_error', message: 'Overloaded' }, 'overloaded'],
    [529, '', 'overloaded'],
  ])('An error of Anthropic is read: %i %j is %s.', (status, error, kind) => {
    expect(read(status, error)).toMatchObject({ kind, status })
  })

  test('An error of Anthropic helps the caller mend a request, without ids and keys.', () => {
    const words = 'messages.0: bad thing in req_011CX88ZmBumGkvj of sk-ant-api03-abcdef'
    const { message, internal, type } = read(400, { type: 'invalid_request_error', message: words })
    expect(message).toBe('messages.0: bad thing in [id] of [key]')
    expect(type).toBe('invalid_request_error')
    // What it says of a request may quote the prompt.
    expect(internal).toBe('invalid_request_error')
  })

  test.each([401, 403, 429, 500, 529])(
    "An error of Anthropic keeps the provider's own words of a %i to the operator.",
    (status) => {
      const { message, internal } = read(status, { type: 'x', message: 'secret words sk-ant-api03-abcdef' })
      expect(message).not.toContain('secret')
      expect(internal).toContain('secret words [key]')
    },
  )

  test.each<[Record<string, string>, number | null]>([
    [{}, null],
    [{ 'retry-after': '12' }, 12_000],
    [{ 'retry-after': 'soon' }, null],
    [{ 'retry-after': '-1' }, null],
  ])('An error of Anthropic says when to try again: %j.', (headers, ms) => {
    expect(read(429, { type: 'rate_limit_error', message: 'm' }, headers).retryAfterMs).toBe(ms)
  })

  test('An error of Anthropic may stand where a response was due.', () => {
    const context = { request: null as never, model: 'm', choices: 1, callId: 'c', created: 1 }
    const body = Buffer.from('{"type":"error","error":{"type":"overloaded_error","message":"x"}}')
    expect(anthropic.chat.readResponse(body, context)).toMatchObject({ kind: 'overloaded', status: null })
    for (const text of ['', '[]', '{}', 'null', '{"content":{}}', '<html>', '{"content":['])
      expect(anthropic.chat.readResponse(Buffer.from(text), context)).toBeNull()
  })
})
