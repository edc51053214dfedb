/** Whatever a provider says about a call, it tells the caller no key: not ours, not the caller's, whole or in pieces, by form or without. */
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { withoutKnown } from '../../src/observe/without-known.ts'
import { expectNothingHeld } from '../support/call-books.ts'
import { useDatabase } from '../support/database.ts'
import { configFor, get, MASTER_KEY, modelOn, postChat, startTollgate, type Tollgate } from '../support/tollgate.ts'
import { type ScriptedUpstream, startUpstream } from '../support/upstream.ts'
import { errorAnswer, jsonAnswer, rawStream, type Script, sse, textAnswer } from '../support/upstream-answers.ts'

/** Has no form that a key could be told by. */
const FORMLESS = 'quiet.harbour.9f3e77.northern.lights'
const HEADER = 'velvet/tramway/0042/signal'
const EXTRA = { 'x-team-token': HEADER }
const OTHERS = [
  'postgres://gateway:Hunter2Hunter2@10.0.0.7/models',
  'https://svc:Hunter2Hunter2@internal.example/v1',
  'AKIAIOSFODNN7EXAMPLE',
  'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJvcHMifQ.Hunter2Hunter2',
]
const HELLO = { max_tokens: 20, messages: [{ role: 'user', content: 'Hello' }] }

const db = useDatabase()
let upstream: ScriptedUpstream
let tollgate: Tollgate
beforeAll(async () => {
  upstream = await startUpstream()
  const plain = modelOn(upstream.url, 'gpt-4o-mini', { extra_headers: EXTRA })
  const claude = {
    model_name: 'claude',
    litellm_params: {
      model: 'anthropic/claude-haiku-4-5',
      api_base: upstream.url,
      api_key: 'os.environ/SCRIPTED_API_KEY',
      extra_headers: EXTRA,
    },
    model_info: { id: 'claude' },
  }
  const gemini = {
    model_name: 'gemini',
    litellm_params: {
      model: 'gemini/gemini-2.5-flash',
      api_base: upstream.url,
      api_key: 'os.environ/SCRIPTED_API_KEY',
      extra_headers: EXTRA,
    },
    model_info: { id: 'gemini' },
  }
  tollgate = await startTollgate({
    databaseUrl: db.url,
    config: configFor(upstream.url, {
      models: [{ ...plain, model_name: 'plain', model_info: { id: 'plain' } }, claude, gemini],
      litellm_settings: { num_retries: 0 },
    }),
    env: { SCRIPTED_API_KEY: FORMLESS },
  })
})
afterAll(async () => {
  await tollgate.stop()
  await upstream.close()
})

const PIECES = [FORMLESS.slice(0, 14), FORMLESS.slice(-14), HEADER.slice(3, 20)]
const SAID = [
  `You sent ${FORMLESS} and x-team-token: ${HEADER}.`,
  `Bad credential "${PIECES[0]}..." or "...${PIECES[1]}" (${PIECES[2]})`,
  `While asking ${OTHERS.join(' and ')}, something broke.`,
]
/** Each alone too, in one place: what is found beside another may be missed without it. */
const ALONE = OTHERS.map((secret) => `While asking ${secret}, something broke.`)
const SECRETS = [FORMLESS, HEADER, ...PIECES, ...OTHERS, 'Hunter2Hunter2']

function scripts(said: string): [name: string, script: Script][] {
  const error = { message: said, type: said, code: FORMLESS, param: HEADER }
  const frame = sse({ choices: [{ index: 0, delta: { role: 'assistant', content: 'Hel' } }], model: 'gpt-4o-mini' })
  return [
    ...[400, 401, 404, 413, 422, 429, 500, 503].map((status): [string, Script] => [
      `${status}`,
      errorAnswer(status, error),
    ]),
    ['text', textAnswer(400, said)],
    ['an error in a 200', jsonAnswer({ error })],
    ['an error frame first', rawStream([sse({ error: { ...error, code: 400 } })])],
    ['an error frame after content', rawStream([frame, sse({ error })])],
    [
      'an error beside usage',
      jsonAnswer({ error, usage: { prompt_tokens: 5, completion_tokens: 5, total_tokens: 10 } }),
    ],
    [
      "Claude's",
      jsonAnswer({ type: 'error', error: { type: 'invalid_request_error', message: said } }, { status: 400 }),
    ],
    ["Google's", jsonAnswer({ error: { code: 400, status: 'INVALID_ARGUMENT', message: said } }, { status: 400 })],
    ["Google's block", jsonAnswer({ promptFeedback: { blockReason: 'OTHER', blockReasonMessage: said } })],
  ]
}

test.each(SAID)('Nobody is told a secret that a provider repeats: %s.', async (said) => {
  const { keys } = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  for (const [name, script] of scripts(said)) {
    upstream.respond(script)
    const asked = ['plain', 'claude', 'gemini'].flatMap((model) => [false, true].map((stream) => ({ model, stream })))
    await Promise.all(asked.map((body) => expectNoSecret(keys.alice, body, `${name} of ${body.model}`)))
  }
  await expectNoneKept()
})

test('Nobody is told a secret that a provider repeats alone.', async () => {
  const { keys } = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  for (const said of ALONE) {
    upstream.respond(errorAnswer(400, { message: said }))
    await expectNoSecret(keys.alice, { model: 'plain', stream: false }, said)
  }
  await expectNoneKept()
})

/** In the response, in the one to the same call again, and where the call is looked up. */
async function expectNoSecret(key: string, asked: { model: string; stream: boolean }, what: string): Promise<void> {
  const headers = { 'Idempotency-Key': randomUUID() }
  const body = { ...HELLO, ...asked }
  const answer = await postChat(tollgate, key, body, { headers })
  const again = await postChat(tollgate, key, body, { headers })
  const call = await get(tollgate, key, `/v1/calls/${answer.headers.get('x-litellm-call-id')}`)
  for (const { body: text, headers: shown } of [answer, again, call])
    for (const secret of SECRETS) expect(text + JSON.stringify([...shown]), what).not.toContain(secret)
}

/** Neither in the books nor in the log. */
async function expectNoneKept(): Promise<void> {
  await expectNothingHeld(db.pool)
  const { rows } = await db.pool.query<{ row: string }>(
    `select to_jsonb(c)::text as row from credit_usage_attribution c
     union all select coalesce(convert_from(body, 'utf8'), '') || coalesce(headers::text, '') from tollgate.idempotency_keys`,
  )
  for (const secret of SECRETS) {
    expect(
      rows.some(({ row }) => row.includes(secret)),
      'rows',
    ).toBe(false)
    expect(
      tollgate
        .output()
        .split('\n')
        .filter((line) => line.includes(secret)),
      'the log',
    ).toEqual([])
  }
}

test('Tests of keys tell what the status means, never what was said.', async () => {
  upstream.respond(errorAnswer(401, { message: SAID.join(' ') }))
  const answer = await fetch(`${tollgate.url}/api/v1/admin/platform-keys/openai/test`, {
    method: 'POST',
    headers: { authorization: `Bearer ${MASTER_KEY}` },
    body: JSON.stringify({ api_key: FORMLESS, api_base: upstream.url }),
  })
  const text = await answer.text()
  for (const secret of SECRETS) expect(text).not.toContain(secret)
})

test.each([
  ['the key is abcdefghijklmnop', 'the key is [key]'],
  ['abcdefghijklmnop', '[key]'],
  ['...ghijklmnop, abcdefghij...', '...[key], [key]...'],
  ['abcdefghi is short of a piece', 'abcdefghi is short of a piece'],
  ['short is a word', 'short is a word'],
  ['abcdefghijklmnopabcdefghijklmnop', '[key]'],
  ['', ''],
])('A known secret is removed from a text: %s.', (text, clean) => {
  expect(withoutKnown(text, ['abcdefghijklmnop', 'short', ''])).toBe(clean)
})

test('No ten characters of a secret are left, wherever it was, and nothing else is removed.', () => {
  const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 8, maxLength: 30 })
  fc.assert(
    fc.property(fc.array(word, { minLength: 1, maxLength: 3 }), fc.array(word, { maxLength: 6 }), (secrets, texts) => {
      const clean = withoutKnown(texts.join(' '), secrets)
      for (const secret of secrets)
        for (let at = 0; at + Math.min(10, secret.length) <= secret.length; at += 1)
          for (const part of clean.split('[key]')) expect(part).not.toContain(secret.slice(at, at + 10))
      expect(withoutKnown(texts.join(' '), ['d'.repeat(20)])).toBe(texts.join(' '))
    }),
  )
})
