import { describe, expect, it } from 'vitest'
import { google } from '../../providers/google.ts'

const read = (status: number, error: unknown, headers = {}) =>
  google.readError(status, headers, Buffer.from(JSON.stringify(error)))
const error = (code: number, status: string, message: string, details: unknown[] = []) => ({
  error: { code, status, message, details },
})

describe('errors', () => {
  it.each([
    [
      400,
      'INVALID_ARGUMENT',
      'API key not valid. Please pass a valid API key.',
      [{ reason: 'API_KEY_INVALID' }],
      'auth',
    ],
    [400, 'INVALID_ARGUMENT', 'API key expired. Please renew the API key.', [], 'auth'],
    [400, 'FAILED_PRECONDITION', 'User location is not supported for the API use.', [], 'auth'],
    [403, 'PERMISSION_DENIED', 'Generative Language API has not been used in project 123456789', [], 'auth'],
    [400, 'INVALID_ARGUMENT', 'Unknown name "api_key": Cannot find field.', [], 'bad_request'],
    [
      400,
      'INVALID_ARGUMENT',
      'The input token count exceeds the maximum number of tokens allowed (1048576).',
      [],
      'context_length',
    ],
    [400, 'INVALID_ARGUMENT', 'Request payload size exceeds the limit: 20971520 bytes.', [], 'too_large'],
    [404, 'NOT_FOUND', 'models/x is not found for API version v1beta', [], 'model_not_found'],
    [
      429,
      'RESOURCE_EXHAUSTED',
      'You exceeded your current quota',
      [{ violations: [{ quotaId: 'RequestsPerMinute' }] }],
      'rate_limit',
    ],
    [
      429,
      'RESOURCE_EXHAUSTED',
      'You exceeded your current quota',
      [{ violations: [{ quotaId: 'RequestsPerDayPerProject' }] }],
      'quota',
    ],
    [500, 'INTERNAL', 'An internal error has occurred.', [], 'failed'],
    [503, 'UNAVAILABLE', 'The model is overloaded. Please try again later.', [], 'overloaded'],
    [504, 'DEADLINE_EXCEEDED', 'Deadline expired before operation could complete.', [], 'timeout'],
    [499, 'CANCELLED', 'The operation was cancelled.', [], 'failed'],
  ])('An error of Google is read: %i %s: %s.', (status, word, message, details, kind) => {
    expect(read(status, error(status, word, message, details)).kind).toBe(kind)
    expect(read(status, [error(status, word, message, details)]).kind).toBe(kind)
  })

  it('An error of Google asks to wait as long as Google says.', () => {
    const info = { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '34.4s' }
    expect(read(429, error(429, 'RESOURCE_EXHAUSTED', 'slow down', [info])).retryAfterMs).toBe(34_400)
    expect(read(429, error(429, 'RESOURCE_EXHAUSTED', 'slow down'), { 'retry-after': '7' }).retryAfterMs).toBe(7_000)
    expect(read(503, error(503, 'UNAVAILABLE', 'x')).retryAfterMs).toBeNull()
  })

  it('An error of Google shows what is about the request, and never keys or projects.', () => {
    const asked = read(
      400,
      error(400, 'INVALID_ARGUMENT', 'Bad field in projects/acme-1234, key AIzaSyA0123456789abcdefghij'),
    )
    expect([asked.message, asked.internal]).toEqual(['Bad field in projects/[project], key [key]', 'INVALID_ARGUMENT'])
    const ours = read(
      403,
      error(403, 'PERMISSION_DENIED', 'Key AIzaSyA0123456789abcdefghij of project_number:99 was suspended'),
    )
    expect(ours.message).not.toMatch(/AIza|99|suspended/)
    expect(ours.internal).toBe('PERMISSION_DENIED  Key [key] of [project] was suspended')
  })

  it('Any body of a failed response is read as an error.', () => {
    for (const body of ['', '<html>', 'null', '[]', '{"error":"x"}', '{"error":{"details":[null,7]}}']) {
      expect(google.readError(502, {}, Buffer.from(body)).kind).toBe('failed')
    }
  })
})
