/** Errors of the five, as their callers see them: status, type, code, the words, when to come back; and nobody's account in them. */
import { describe, expect, test } from 'vitest'
import type { ProviderError } from '../../providers/provider.ts'
import { findProvider } from '../../providers/registry.ts'
import { toCallerError } from '../../src/call/provider-failure.ts'
import { errorBody } from '../../src/http/errors.ts'

type Name = 'openai' | 'groq' | 'xai' | 'openrouter' | 'huggingface'
const LABELS = { openai: 'OpenAI', groq: 'Groq', xai: 'xAI', openrouter: 'OpenRouter', huggingface: 'HuggingFace' }
const NAMES = Object.keys(LABELS) as Name[]

function read(name: Name, status: number, body: unknown, headers: Record<string, string> = {}): ProviderError {
  const provider = findProvider(name)
  if (provider === null) throw new Error(`${name} is not there`)
  return provider.readError(status, headers, Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)))
}

/** An error as this provider wraps it. */
function worded(name: Name, status: number, message: string): unknown {
  if (name === 'xai') return { code: 'invalid-argument', error: message }
  if (name === 'openrouter') return { error: { code: status, message, metadata: {} }, user_id: 'user_2aBcDeFgHiJk' }
  if (name === 'huggingface') return { error: message }
  return { error: { message, type: 'invalid_request_error' } }
}

/** Everything a caller is answered. */
function answered(providerError: ProviderError) {
  const error = toCallerError({ ...providerError, clean: true }, new Date())
  const { error: envelope, detail } = errorBody(error) as Record<'error', Record<string, unknown>> & { detail: string }
  expect(detail).toBe(envelope.message)
  const retryAfter = 'Retry-After' in error.headers ? error.headers['Retry-After'] : null
  return { status: error.status, ...envelope, retryAfter } as { status: number; retryAfter: string | null } & Record<
    'message' | 'type' | 'code' | 'param',
    string | null
  >
}

const ACCOUNT = "did not accept this gateway's account. The operator has been told; trying again later may help."

describe.for(NAMES)('%s', (name) => {
  const label = LABELS[name]

  test.for<[string, number, string, number, string, string | null, string]>([
    ['a wrong key', 401, 'Bad key', 503, 'provider_account', '2', `${label} ${ACCOUNT}`],
    ['no rights', 403, 'No rights', 503, 'provider_account', '2', `${label} ${ACCOUNT}`],
    ['no money', 402, 'Pay', 503, 'provider_account', '2', `${label} ${ACCOUNT}`],
    [
      'a rate limit',
      429,
      'Slow down',
      429,
      'provider_rate_limited',
      '2',
      `${label} limits the rate of calls right now. Try again after the time in Retry-After.`,
    ],
    ['a failure', 500, 'Oops', 503, 'provider_failed', '2', `${label} failed to answer. Try again shortly.`],
    ['overload', 503, 'Busy', 503, 'provider_overloaded', '2', `${label} is overloaded. Try again shortly.`],
    ['more overload', 529, 'Busy', 503, 'provider_overloaded', '2', `${label} is overloaded. Try again shortly.`],
    [
      'a time-out',
      504,
      'Late',
      503,
      'provider_timeout',
      '2',
      `${label} took too long to answer. Try again, or ask for less output.`,
    ],
    ['too large a body', 413, 'Too large', 413, 'request_too_large', null, 'Too large'],
    ['an unknown model', 404, 'No such model', 404, 'model_not_found', null, 'No such model'],
    [
      'too long a prompt',
      400,
      'The context window is 9',
      400,
      'context_length_exceeded',
      null,
      'The context window is 9',
    ],
  ])("An error of OpenAI's dialect is read: %s.", ([, status, message, shownStatus, code, retryAfter, shown]) => {
    const wrapped = worded(name, status, message)
    const { code: own, ...error } = answered(read(name, status, wrapped))
    expect({ ...error, code: own }).toMatchObject({
      status: shownStatus,
      code,
      message: shown,
      retryAfter,
      param: null,
    })
    if (retryAfter !== null) expect(error.type).toBe(shownStatus === 429 ? 'rate_limit_error' : 'server_error')
  })

  test('A stated wait is passed on, in whole seconds upwards.', () => {
    const wait = (status: number, headers: Record<string, string>) =>
      answered(read(name, status, worded(name, status, 'Wait'), headers)).retryAfter
    expect(wait(429, { 'retry-after': '7' })).toBe('7')
    expect(wait(429, { 'retry-after-ms': '1200', 'retry-after': '9' })).toBe('2')
    expect(wait(503, { 'retry-after': '0' })).toBe('1')
    const said = worded(name, 429, 'Please try again in 11.455s.')
    expect(answered(read(name, 429, said)).retryAfter).toBe('12')
  })

  test.for<[string, string]>([
    ['key sk-proj-Abc123Def456', 'key [key]'],
    ['key sk-proj-****************XyZ9', 'key [key]'],
    ['key gsk_Abc123Def456Ghi', 'key [key]'],
    ['key xai-Abc123Def456', 'key [key]'],
    ['key hf_AbcDefGhi123', 'key [key]'],
    ['key sk-or-v1-0123456789abcdef', 'key [key]'],
    ['org org-Ab12Cd34Ef56', 'org [account]'],
    ['org org_01hq3v5x7z9b1d', 'org [account]'],
    ['team 7f1c9a52-30b7-4a3c-9d0e-52d1f6f0b1aa', 'team [account]'],
    ['user user_2aBcDeFgHiJkLm', 'user [account]'],
    ['project proj_Ab12Cd34Ef56', 'project [account]'],
  ])('No caller reads of whose account it is: %s.', ([words, shown]) => {
    const refused = read(name, 400, worded(name, 400, `Not allowed for the ${words}, try another.`))
    expect(answered(refused)).toMatchObject({ status: 400, message: `Not allowed for the ${shown}, try another.` })
    const leak = words.slice(words.indexOf(' ') + 1)
    for (const status of [401, 402, 403, 429, 500, 503]) {
      const error = read(name, status, worded(name, status, `Not allowed for the ${words}, try another.`))
      expect(JSON.stringify(answered(error))).not.toContain(leak)
      expect(error.internal).not.toContain(leak)
    }
  })

  test('A body that is no error says no more than its status.', () => {
    for (const body of ['', '<html>502</html>', '[]', 'null', '{}', '{"error":7}', '{"error":']) {
      expect(answered(read(name, 400, body))).toEqual({
        status: 400,
        message: `${label} refused this request as malformed.`,
        type: 'invalid_request_error',
        param: null,
        code: 'bad_request',
        retryAfter: null,
      })
    }
  })
})

describe('one of a kind', () => {
  test.for<[string, Name, number, unknown, object]>([
    [
      'xAI: a wrong key, with a part of it in the words',
      'xai',
      400,
      { code: 'Client specified an invalid argument', error: 'Incorrect API key provided: ab***yz.' },
      { status: 503, code: 'provider_account', message: `xAI ${ACCOUNT}` },
    ],
    [
      'xAI: spent credits',
      'xai',
      429,
      { code: 'x', error: 'Your team has either used all available credits or reached its monthly spending limit.' },
      { status: 503, code: 'provider_account', message: `xAI ${ACCOUNT}` },
    ],
    [
      'OpenAI: spent credits',
      'openai',
      429,
      { error: { message: 'Check your plan.', type: 'insufficient_quota', code: 'insufficient_quota' } },
      { status: 503, code: 'provider_account', message: `OpenAI ${ACCOUNT}` },
    ],
    [
      'OpenAI: a parameter',
      'openai',
      400,
      {
        error: { message: 'Too hot.', type: 'invalid_request_error', param: 'temperature', code: 'unsupported_value' },
      },
      {
        status: 400,
        code: 'unsupported_value',
        type: 'invalid_request_error',
        param: 'temperature',
        message: 'Too hot.',
      },
    ],
    [
      'Groq: no capacity for a flexible tier',
      'groq',
      498,
      { error: { message: 'No capacity', type: 'server_error' } },
      { status: 503, code: 'provider_overloaded' },
    ],
    [
      'OpenRouter: moderation',
      'openrouter',
      403,
      { error: { code: 403, message: 'Your input was flagged', metadata: { reasons: ['violence'] } } },
      { status: 400, code: 'content_filter', type: 'invalid_request_error', message: 'Your input was flagged' },
    ],
    [
      'OpenRouter: what the provider behind it says, as text',
      'openrouter',
      400,
      { error: { code: 400, message: 'Provider returned error', metadata: { raw: 'Images are not taken' } } },
      { status: 400, code: 'bad_request', message: 'Images are not taken' },
    ],
    [
      'HuggingFace: a model nobody serves',
      'huggingface',
      400,
      {
        error: {
          message: 'Nobody serves it.',
          type: 'invalid_request_error',
          param: 'model',
          code: 'model_not_supported',
        },
      },
      { status: 404, code: 'model_not_found', param: 'model', message: 'Nobody serves it.' },
    ],
  ])('An error that only one provider has is read: %s.', ([, name, status, body, expected]) => {
    expect(answered(read(name, status, body))).toMatchObject(expected)
  })
})

describe('a server that does not know stream_options', () => {
  const rejects = (status: number, error: object) => read('openai', status, { error }).rejects ?? null

  test.for<[number, object, 'usage_question' | null]>([
    [400, { message: 'Unknown.', param: 'stream_options' }, 'usage_question'],
    [400, { message: 'Unknown.', param: 'stream_options.include_usage' }, 'usage_question'],
    [422, { message: "Extra inputs are not permitted: 'stream_options'" }, 'usage_question'],
    [400, { message: 'Unknown.', param: 'stream' }, null],
    [500, { message: 'stream_options crashed' }, null],
    [429, { message: 'stream_options', code: 'rate_limit_exceeded' }, null],
  ])('A server that does not know stream_options says so with a %i %j.', ([status, error, rejected]) => {
    expect(rejects(status, error)).toBe(rejected)
  })
})
