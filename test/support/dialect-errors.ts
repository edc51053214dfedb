/** How the five providers of dialects.ts word their errors. Keys and ids in them are what no caller may see. */
import { type Answer, errorAnswer, jsonAnswer } from './upstream-answers.ts'

/** What the last message says to have a call fail. */
export const FAILURES = {
  /** Too many calls, for now. */
  rate: 'Fail for the rate.',
  /** Our key is wrong. */
  account: 'Fail for the key.',
  /** The request is wrong. */
  malformed: 'Fail for the request.',
  /** Down. */
  down: 'Fail for good.',
  /** After the first pieces of a stream. */
  inStream: 'Fail in the stream.',
} as const

export type Failure = keyof typeof FAILURES

/** Stands in every answer that tells of our account. */
export const SECRETS = ['sk-scr1pted-Key', 'org_01scriptedAccount'] as const
const [KEY, ACCOUNT] = SECRETS

type Errors = Readonly<Record<Exclude<Failure, 'inStream'>, Answer>>

const wait = (seconds: number) => ({ headers: { 'retry-after': `${seconds}` } })

/** By provider. A rate limit says to wait 12 seconds, each in its own way, but for OpenRouter, which doesn't say. */
export const ERRORS: Readonly<Record<string, Errors>> = {
  openai: {
    rate: errorAnswer(
      429,
      { message: `Rate limit reached for organization ${ACCOUNT}`, type: 'tokens', code: 'rate_limit_exceeded' },
      wait(12),
    ),
    account: errorAnswer(401, {
      message: `Incorrect API key provided: ${KEY}`,
      type: 'invalid_request_error',
      code: 'invalid_api_key',
    }),
    malformed: errorAnswer(400, {
      message: "Invalid value for 'temperature'",
      type: 'invalid_request_error',
      param: 'temperature',
      code: 'decimal_above_max_value',
    }),
    down: { status: 503, headers: { 'content-type': 'text/plain' }, frames: ['upstream connect error or disconnect'] },
  },
  groq: {
    rate: errorAnswer(429, {
      message: `Rate limit reached in organization \`${ACCOUNT}\`. Please try again in 11.455s.`,
      type: 'tokens',
      code: 'rate_limit_exceeded',
    }),
    account: jsonAnswer(
      { error: { message: `Invalid API Key ${KEY}`, type: 'invalid_request_error', code: 'invalid_api_key' } },
      { status: 401 },
    ),
    malformed: jsonAnswer(
      { error: { message: "property 'temprature' is unsupported", type: 'invalid_request_error' } },
      { status: 400 },
    ),
    down: jsonAnswer({ error: { message: 'Service Unavailable', type: 'internal_server_error' } }, { status: 503 }),
  },
  xai: {
    rate: jsonAnswer(
      { code: 'resource-exhausted', error: `Too many requests for team ${ACCOUNT}.` },
      { status: 429, ...wait(12) },
    ),
    account: jsonAnswer(
      { code: 'invalid-argument', error: `Incorrect API key provided: ${KEY}. Get one at console.x.ai.` },
      { status: 400 },
    ),
    malformed: jsonAnswer({ code: 'invalid-argument', error: 'temperature must be at most 2' }, { status: 400 }),
    down: jsonAnswer({ code: 'unavailable', error: 'Service temporarily unavailable' }, { status: 503 }),
  },
  huggingface: {
    rate: jsonAnswer({ error: 'Rate limit exceeded' }, { status: 429, ...wait(12) }),
    account: jsonAnswer({ error: `Invalid token ${KEY}` }, { status: 401 }),
    malformed: {
      status: 422,
      headers: { 'content-type': 'text/plain' },
      frames: ['Failed to deserialize the JSON body: temperature'],
    },
    down: jsonAnswer({ error: 'Model overloaded', error_type: 'overloaded' }, { status: 503 }),
  },
  openrouter: {
    rate: jsonAnswer(
      {
        error: {
          code: 429,
          message: 'Provider returned error',
          metadata: { raw: 'rate-limited upstream', provider_name: 'Scripted' },
        },
        user_id: ACCOUNT,
      },
      { status: 429 },
    ),
    account: jsonAnswer({ error: { message: `No auth credentials found ${KEY}`, code: 401 } }, { status: 401 }),
    malformed: jsonAnswer({ error: { message: 'temperature is out of range', code: 400 } }, { status: 400 }),
    down: jsonAnswer({ error: { message: 'Provider returned error', code: 503 } }, { status: 503 }),
  },
}
