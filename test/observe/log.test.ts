/** No line of the log holds a secret, and every line about a call says by which request it came. */
import { expect, onTestFinished, test, vi } from 'vitest'
import { createLog } from '../../src/observe/log.ts'
import { withoutSecrets } from '../../src/observe/without-secrets.ts'
import { openCall } from '../support/open-call.ts'
import { useProduct } from '../support/product.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { MASTER_KEY, postChat } from '../support/tollgate.ts'
import { chat, errorAnswer, textAnswer } from '../support/upstream-answers.ts'
import { serveInProcess } from './serve-in-process.ts'

const HEX = '0f1e2d3c4b5a69788796a5b4c3d2e1f0'
const ALNUM = 'q7WmZ2xL9vKb4RdT8wHs1NfY6jPc3GaE5uXo'
/** Each with what of it must not be in the log. */
const SECRETS = {
  openai: `sk-proj-${ALNUM}`,
  openrouter: `sk-or-v1-${HEX}${HEX}`,
  anthropic: `sk-ant-api03-${ALNUM}-${ALNUM}`,
  master: 'sk-7e1b9c4d2f8a6053',
  own: `uc_${HEX}${HEX}`,
  groq: `gsk_${ALNUM}`,
  xai: `xai-${ALNUM}${ALNUM}`,
  huggingFace: `hf_${ALNUM}`,
  google: `AIza${ALNUM}`,
  fernet: `gAAAAABm${ALNUM}_-${ALNUM}==`,
  jwt: `eyJ${ALNUM}.eyJ${ALNUM}.${ALNUM}`,
}
const NAMED = {
  authorization: `Basic ${ALNUM}`,
  'proxy-authorization': ALNUM,
  cookie: `session_token=${ALNUM}`,
  'x-api-key': ALNUM,
  'x-goog-api-key': ALNUM,
  apiKey: ALNUM,
  api_key: ALNUM,
  password: `p4ss "quoted" ${ALNUM}`,
  client_secret: ALNUM,
  masterKey: ALNUM,
  ENCRYPTION_KEY: ALNUM,
  access_token: ALNUM,
}
const IN_TEXTS = [
  `connect ECONNREFUSED postgres://tollgate:${ALNUM}@db.internal:5432/tollgate`,
  `postgresql://unicorn:${ALNUM}@unicorn-postgresql/unicorn_db?sslmode=require`,
  `redis://:${ALNUM}@cache:6379/0`,
  `GET https://api.example.com/v1beta/models?alt=sse&key=${ALNUM}`,
  `sent Authorization: Bearer ${ALNUM} and got 401`,
  `-----BEGIN PRIVATE KEY-----\n${ALNUM}\n${ALNUM}\n-----END PRIVATE KEY-----`,
  `the body was {"api_key": "${ALNUM}"}`,
]

function capture() {
  const lines: string[] = []
  return { lines, log: createLog('trace', new Map(), { write: (line) => void lines.push(line) }) }
}

function expectClean(lines: readonly string[]): void {
  for (const line of lines) {
    expect(() => JSON.parse(line), line).not.toThrow()
    expect(line).not.toContain(ALNUM)
    expect(line).not.toContain(HEX)
    for (const secret of Object.values(SECRETS)) expect(line).not.toContain(secret)
  }
}

test.for([...Object.values(SECRETS), ...IN_TEXTS])(
  'A secret is left out of the log wherever it is put: %s.',
  (secret) => {
    const { lines, log } = capture()
    const error = new Error(`outer ${secret}`, { cause: new TypeError(`inner ${secret}`) })
    error.name = `Named ${secret}`
    for (const level of ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const) {
      log[level](`a message with ${secret} in it`)
      log[level]('a format: %s %j', secret, { deep: secret })
      log[level]({ value: secret, [secret]: 'as a key', list: [secret, { deeper: { deepest: secret } }] }, 'nested')
      log[level]({ err: error }, 'with an error')
      log[level](error)
      log.child({ bound: secret })[level]('bound')
    }
    expect(lines).toHaveLength(36)
    expectClean(lines)
  },
)

test.for(Object.entries(NAMED))(
  'A secret is left out of the log under the name %s, at any depth.',
  ([name, secret]) => {
    const { lines, log } = capture()
    log.trace({ [name]: secret }, 'at the top')
    log.trace({ headers: { [name]: secret }, request: { headers: { [name]: secret } } }, 'headers')
    log.trace({ a: { b: { c: [{ [name]: secret }] } } }, 'deep')
    log.trace({ text: JSON.stringify({ [name]: secret }) }, 'JSON in a text')
    log.child({ [name]: secret }).trace('bound')
    expect(lines).toHaveLength(5)
    expectClean(lines)
  },
)

test.for([
  'provider_usage xai-grok-4-fast hf_model task-force sku-1 basic usage of token counts',
  '{"call_id":"66768aa0-6d20-4a64-8940-aa93acc36ed4","prompt_tokens":9,"key_id":"b1","apiBase":"https://api.openai.com/v1"}',
  'http://127.0.0.1:8084/v1/chat/completions user@example.com',
])('What is no secret stays: %s.', (text) => {
  expect(withoutSecrets(text)).toBe(text)
})

test('A long line costs time in proportion to its length, whatever is in it.', () => {
  for (const piece of [
    '"',
    '"a',
    'secret',
    '"secret',
    'a:',
    'http://',
    '?key',
    'bearer ',
    '\\"api_key\\":\\"',
    '://a:',
    'eyJ',
  ]) {
    const line = piece.repeat(1_000_000 / piece.length)
    expect(typeof withoutSecrets(line)).toBe('string')
  }
})

const product = useProduct()
const HELLO = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Say hello' }] }
const about = (lines: readonly string[], callId: string | null) =>
  lines.map((line) => JSON.parse(line) as Record<string, unknown>).filter((line) => line.call_id === callId)

test('The product at trace level logs no key, though a provider quotes every kind of key it has seen.', async () => {
  const { db, upstream } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const tollgate = await serveInProcess(db.url, upstream.url, SECRETS.openai)
  const quote = [...Object.values(SECRETS), ...IN_TEXTS, JSON.stringify(NAMED)].join(' ')
  for (const status of [400, 401, 403, 404, 429, 500, 503]) {
    for (const stream of [false, true]) {
      upstream.respond(errorAnswer(status, { message: quote, code: SECRETS.groq, type: SECRETS.xai }))
      await postChat(tollgate, acme.keys.alice, { ...HELLO, stream })
      upstream.respond(textAnswer(status, quote))
      await postChat(tollgate, acme.keys.alice, { ...HELLO, stream })
    }
  }
  for (const secret of Object.values(SECRETS)) {
    await postChat(tollgate, secret, HELLO)
    await postChat(tollgate, acme.keys.alice, { ...HELLO, model: secret }, { headers: { 'x-request-id': secret } })
    await postChat(tollgate, acme.keys.alice, HELLO, { path: `/v1/${secret}?key=${secret}` })
  }
  expect(tollgate.lines.length).toBeGreaterThanOrEqual(28 + 3 * Object.keys(SECRETS).length)
  expectClean(tollgate.lines)
  for (const line of tollgate.lines) for (const key of [acme.keys.alice, MASTER_KEY]) expect(line).not.toContain(key)
})

test('Whatever goes wrong with a call, each line about it says its request, also after the caller was answered.', async () => {
  const { db, upstream } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const proxy = await startTcpProxy(db.url)
  onTestFinished(() => proxy.close())
  const tollgate = await serveInProcess(proxy.url, upstream.url, SECRETS.openai, { booking_wait_seconds: 0.25 })

  upstream.respond(chat())
  const answered = openCall(tollgate, acme.keys.alice, HELLO)
  await answered.closed
  const nameless = await postChat(tollgate, acme.keys.alice, HELLO)
  upstream.respond(errorAnswer(500, { message: 'no' }))
  const failed = openCall(tollgate, acme.keys.alice, HELLO)
  await failed.closed
  const refused = openCall(tollgate, 'sk-nobody', HELLO)
  await refused.closed
  // The books refuse this user's charge, for as long as the trigger is there.
  await db.pool.query(`
    create function refuse() returns trigger language plpgsql as
      $$ begin raise exception 'not now' using errcode = '23514'; end $$;
    create trigger refuse before insert on credit_usage_attribution for each row execute function refuse()`)
  upstream.respond(chat())
  const pending = openCall(tollgate, acme.keys.alice, HELLO)
  await pending.closed
  await vi.waitFor(() => expect(tollgate.lines.join('')).toContain('settle failed'), { timeout: 10_000, interval: 20 })
  await db.pool.query('drop trigger refuse on credit_usage_attribution; drop function refuse()')
  proxy.cut()
  const away = openCall(tollgate, acme.keys.alice, HELLO)
  await away.closed
  proxy.restore()

  for (const { requestId, head } of [answered, failed, refused, pending, away]) {
    const callId = String((await head).headers['x-litellm-call-id'])
    const lines = about(tollgate.lines, callId)
    expect(lines, callId).not.toHaveLength(0)
    for (const line of lines) expect(line.request_id, JSON.stringify(line)).toBe(requestId)
  }
  const own = nameless.headers.get('x-litellm-call-id')
  expect(about(tollgate.lines, own)).toMatchObject([{ msg: 'call', request_id: own }])
  const said = new Set(tollgate.lines.map((line) => (JSON.parse(line) as { msg: string }).msg))
  expect([...said]).toEqual(expect.arrayContaining(['call', 'refused', 'settle failed', 'hold failed']))
})
