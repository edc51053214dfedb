/** Calls we refuse: the status, what the answer says, and that nothing was asked of the provider or taken from the payer. */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import { newApiKey } from '../../src/identity/api-key.ts'
import { balanceOf } from '../support/call-books.ts'
import { rowOfRequest } from '../support/call-row.ts'
import { expectRefusal } from '../support/error-shape.ts'
import { openCall } from '../support/open-call.ts'
import { useProduct } from '../support/product.ts'
import { get, MASTER_KEY, modelOn, postChat } from '../support/tollgate.ts'
import { chat, chatAnswer } from '../support/upstream-answers.ts'

const product = useProduct((url) => ({
  models: [modelOn(url, 'no-such-model-anywhere')],
  tollgate: { limits: { body_megabytes: 1 } },
}))

const HELLO = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Say hello' }] }
/** Three credits exactly. */
const THREE = { model: 'exact', max_tokens: 100, messages: [{ role: 'user', content: 'Go on' }] }

async function alice(credits: number | string = 100): Promise<{ id: string; key: string }> {
  const { id, keys } = await product.db.seedOrganization({ credits: 1_000, users: { alice: credits } })
  return { id, key: keys.alice }
}

/** Runs what must not reach the provider. */
async function untouched<T>(work: () => Promise<T>): Promise<T> {
  const before = product.upstream.requests.length
  const result = await work()
  expect(product.upstream.requests).toHaveLength(before)
  return result
}

/** Another key, of an organization's user. */
async function makeKey(
  orgId: string,
  user: string,
  state: { active?: boolean; expires?: string | null } = {},
): Promise<string> {
  const { key, hash, preview } = newApiKey()
  await product.db.pool.query(
    'insert into tollgate.api_keys (key_hash, preview, org_id, user_id, is_active, expires_at) values ($1, $2, $3, $4, $5, $6)',
    [hash, preview, orgId, user, state.active ?? true, state.expires ?? null],
  )
  return key
}

describe('400: a request that can’t be understood', () => {
  const messages = JSON.stringify(HELLO.messages)
  const nested = `${'['.repeat(300)}${']'.repeat(300)}`
  test.for([
    { name: 'nothing', body: '', code: 'invalid_json', param: 'request_body' },
    { name: 'half of it', body: '{"model":"gpt-4o-mini"', code: 'invalid_json', param: 'request_body' },
    { name: 'an array', body: '[]', param: 'request_body' },
    { name: 'null', body: 'null', param: 'request_body' },
    { name: 'too deep', body: `{"model":"gpt-4o-mini","x":${nested}}`, param: 'request_body' },
    { name: 'a number for a model', body: `{"model":1,"messages":${messages}}`, param: 'model' },
    { name: 'a blank model', body: `{"model":"  ","messages":${messages}}`, param: 'model' },
    { name: 'a model name without end', body: `{"model":"${'m'.repeat(257)}","messages":${messages}}`, param: 'model' },
    { name: 'no messages', body: '{"model":"gpt-4o-mini"}', param: 'messages' },
    { name: 'an empty list of messages', body: '{"model":"gpt-4o-mini","messages":[]}', param: 'messages' },
    { name: 'a message that is a number', body: '{"model":"gpt-4o-mini","messages":[{},7]}', param: 'messages[1]' },
    { name: 'stream as text', body: `{"model":"gpt-4o-mini","stream":"yes","messages":${messages}}`, param: 'stream' },
    { name: 'no choices', body: `{"model":"gpt-4o-mini","n":0,"messages":${messages}}`, param: 'n' },
    { name: 'half a choice', body: `{"model":"gpt-4o-mini","n":1.5,"messages":${messages}}`, param: 'n' },
    { name: 'too many choices', body: `{"model":"gpt-4o-mini","n":129,"messages":${messages}}`, param: 'n' },
    {
      name: 'a negative cap',
      body: `{"model":"gpt-4o-mini","max_tokens":-1,"messages":${messages}}`,
      param: 'max_tokens',
    },
    {
      name: 'a cap beyond all numbers',
      body: `{"model":"gpt-4o-mini","max_completion_tokens":1e400,"messages":${messages}}`,
      param: 'max_completion_tokens',
    },
    {
      name: 'stream options as a list',
      body: `{"model":"gpt-4o-mini","stream_options":[],"messages":${messages}}`,
      param: 'stream_options',
    },
    { name: 'a member twice', body: `{"model":"gpt-4o-mini","model":"gpt-4o","messages":${messages}}`, param: 'model' },
    {
      name: 'a member twice, once escaped',
      body: `{"max_tokens":1,"max_t\\u006fkens":9,"model":"gpt-4o-mini","messages":${messages}}`,
      param: 'max_tokens',
    },
  ])('A request that can’t be understood gets 400: $name', async ({ body, code, param }) => {
    const { id, key } = await alice()
    const answer = await untouched(() => postChat(product.tollgate, key, body))
    expectRefusal(answer, { status: 400, code: code ?? 'invalid_request', type: 'invalid_request_error', param })
    expect(await balanceOf(product.db.pool, id, 'alice')).toMatchObject({ used: '0.000000', held: '0.000000' })
  })

  test('A request with bytes that are not UTF-8 gets 400.', async () => {
    const { key } = await alice()
    const answer = await untouched(() =>
      fetch(`${product.tollgate.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
        body: Buffer.from(JSON.stringify(HELLO).replace('hello', 'h\xe9llo'), 'latin1'),
      }),
    )
    expect([answer.status, await answer.json()]).toMatchObject([400, { error: { code: 'invalid_json' } }])
  })

  test('A model whose price nobody knows gets 400.', async () => {
    const { key } = await alice()
    const answer = await untouched(() =>
      postChat(product.tollgate, key, { ...HELLO, model: 'no-such-model-anywhere', max_tokens: 1 }),
    )
    const message = expectRefusal(answer, { status: 400, code: 'unknown_price', param: 'model' })
    expect(message).toContain("'no-such-model-anywhere'")
  })

  test('Content that nothing bounds the size of gets 400.', async () => {
    const { key } = await alice()
    const content = [{ type: 'file', file: { file_id: 'file-abc' } }]
    const answer = await untouched(() =>
      postChat(product.tollgate, key, { ...THREE, messages: [{ role: 'user', content }] }),
    )
    const param = 'messages[0].content[0].file.file_id'
    expectRefusal(answer, { status: 400, code: 'unbounded_input', param })
  })

  test('An Idempotency-Key with a space in it gets 400.', async () => {
    const { key } = await alice()
    const headers = { 'Idempotency-Key': 'not a key' }
    const answer = await untouched(() => postChat(product.tollgate, key, HELLO, { headers }))
    expectRefusal(answer, { status: 400, code: 'invalid_idempotency_key' })
  })
})

describe('401: no or bad credentials, decided before the body is looked at', () => {
  const unknown = `uc_${'0'.repeat(64)}`
  const variants = [
    { name: 'none', authorization: null, code: 'missing_api_key' },
    { name: 'another scheme', authorization: 'Basic dXNlcjpwYXNz', code: 'invalid_authorization' },
    { name: 'a scheme alone', authorization: 'Bearer', code: 'invalid_authorization' },
    { name: 'two keys', authorization: `Bearer ${unknown} ${unknown}`, code: 'invalid_authorization' },
    { name: 'an unknown key', authorization: `Bearer ${unknown}`, code: 'invalid_api_key' },
    { name: 'not a key of ours', authorization: 'Bearer sk-1234567890abcdef', code: 'invalid_api_key' },
    { name: 'most of the master key', authorization: `Bearer ${MASTER_KEY.slice(0, -1)}`, code: 'invalid_api_key' },
    { name: 'SQL', authorization: "Bearer uc_'or'1'='1", code: 'invalid_api_key' },
  ]
  const bodies = [
    { what: 'a good body', body: JSON.stringify(HELLO), headers: {} },
    { what: 'a malformed body', body: '{"model":', headers: {} },
    { what: 'a body of another type', body: '<hello/>', headers: { 'content-type': 'text/xml' } },
  ]
  test.for(variants.flatMap((variant) => bodies.map((body) => ({ ...variant, ...body }))))(
    'A request with no or bad credentials gets 401 before its body is looked at: $name, with $what',
    async ({ authorization, code, body, headers }) => {
      const sent = { ...headers, ...(authorization === null ? {} : { authorization }) }
      const answer = await untouched(() => postChat(product.tollgate, null, body, { headers: sent }))
      expectRefusal(answer, { status: 401, code, type: 'authentication_error' })
      expect(answer.headers.get('www-authenticate')).toBe('Bearer')
    },
  )

  test('A key that expired, and one that was revoked, get 401.', async () => {
    const { id } = await alice()
    const expired = await makeKey(id, 'alice', { expires: '2020-01-01T00:00:00Z' })
    const revoked = await makeKey(id, 'alice', { active: false })
    const answer = await untouched(() => postChat(product.tollgate, expired, HELLO))
    expect(expectRefusal(answer, { status: 401, code: 'expired_api_key' })).toContain('2020-01-01T00:00:00.000Z')
    expectRefusal(await untouched(() => postChat(product.tollgate, revoked, HELLO)), {
      status: 401,
      code: 'invalid_api_key',
    })
  })

  test('A request without a good credential that announces 50 MB gets its 401 at once.', async () => {
    expect(await announce(null, 52_428_800)).toMatch(/^HTTP\/1\.1 401 /)
  })

  test('Lists and lookups without a key get 401 too.', async () => {
    for (const path of ['/v1/models', `/v1/calls/${randomUUID()}`]) {
      expectRefusal(await get(product.tollgate, null, path), { status: 401, code: 'missing_api_key' })
    }
  })
})

/** The first line of the answer to a request whose body is announced and never sent. */
async function announce(key: string | null, bytes: number): Promise<string> {
  const socket = connect(Number(new URL(product.tollgate.url).port), '127.0.0.1')
  const lines = ['POST /v1/chat/completions HTTP/1.1', 'Host: tollgate', 'Content-Type: application/json']
  if (key !== null) lines.push(`Authorization: Bearer ${key}`)
  socket.write(`${[...lines, `Content-Length: ${bytes}`].join('\r\n')}\r\n\r\n`)
  const [answer] = (await once(socket.setEncoding('utf8'), 'data')) as [string]
  socket.destroy()
  return answer
}

describe('402: not enough credits', () => {
  test('A 402 says how much is needed and how much there is, and that trying again does not help.', async () => {
    const { id, key } = await alice('2.5')
    const answer = await untouched(() => postChat(product.tollgate, key, THREE))
    const message = expectRefusal(answer, {
      status: 402,
      code: 'insufficient_credits',
      type: 'insufficient_credits',
      fields: { required: '3', available: '2.5' },
    })
    expect(message).toMatch(/needs at least 3 credits and 2\.5 are available/)
    expect(answer.headers.get('x-should-retry')).toBe('false')
    expect(answer.headers.get('retry-after')).toBeNull()
    expect(await balanceOf(product.db.pool, id, 'alice')).toMatchObject({ remaining: '2.500000', held: '0.000000' })
  })

  test('A 402 is JSON with its own status for a stream too.', async () => {
    const { key } = await alice('2.5')
    const answer = await untouched(() => postChat(product.tollgate, key, { ...THREE, stream: true }))
    expectRefusal(answer, { status: 402, code: 'insufficient_credits', fields: { required: '3', available: '2.5' } })
  })

  test('A 402 while the caller’s own calls hold the credits says that trying again later helps.', async () => {
    const { upstream, tollgate } = product
    const { key } = await alice(5)
    const now = Promise.withResolvers<void>()
    const stated = { prompt_tokens: 8, completion_tokens: 10 }
    upstream.respond(chatAnswer({ model: 'exact', beforeHead: now.promise, usage: stated }))
    const before = upstream.requests.length
    const running = openCall(tollgate, key, THREE)
    await upstream.received(before + 1)

    const answer = await postChat(tollgate, key, THREE)
    expectRefusal(answer, {
      status: 402,
      code: 'credits_in_flight',
      type: 'insufficient_credits',
      fields: { required: '3', available: '2' },
    })
    expect(answer.headers.get('x-should-retry')).toBe('true')
    expect(answer.headers.get('retry-after')).toBe('1')

    now.resolve()
    await running.closed
    expect(await rowOfRequest(product, running.requestId)).toMatchObject({ credits_used: '0.300000' })
    expect((await postChat(tollgate, key, THREE)).status).toBe(200)
  })
})

describe('403: not allowed', () => {
  test('A member without an allocation gets 403.', async () => {
    const { id } = await alice()
    await product.db.pool.query(
      "insert into organization_members (org_id, user_id, role) values ($1, 'carol', 'member')",
      [id],
    )
    const key = await makeKey(id, 'carol')
    const answer = await untouched(() => postChat(product.tollgate, key, HELLO))
    const message = expectRefusal(answer, { status: 403, code: 'no_allocation', type: 'permission_error' })
    expect(message).toContain('No credit allocation found')
  })

  test('A suspended organization gets 403.', async () => {
    const { id, key } = await alice()
    await product.db.pool.query("update organizations set status = 'suspended' where id = $1", [id])
    const answer = await untouched(() => postChat(product.tollgate, key, HELLO))
    expectRefusal(answer, { status: 403, code: 'organization_suspended', type: 'permission_error' })
  })
})

describe('404, 413, 415', () => {
  test('An unknown model and an unknown route get 404.', async () => {
    const { key } = await alice()
    const answer = await untouched(() => postChat(product.tollgate, key, { ...HELLO, model: 'gpt-99' }))
    const message = expectRefusal(answer, {
      status: 404,
      code: 'model_not_found',
      type: 'not_found_error',
      param: 'model',
    })
    expect(message).toContain('"gpt-99"')
    const nowhere = await get(product.tollgate, key, '/v1/nowhere')
    expectRefusal(nowhere, { status: 404, code: 'route_not_found', type: 'not_found_error' })
  })

  test('A body that is larger than allowed gets 413, announced or not.', async () => {
    const { key } = await alice()
    const large = JSON.stringify({ ...HELLO, user: 'x'.repeat(1_100_000) })
    const answer = await untouched(() => postChat(product.tollgate, key, large))
    expectRefusal(answer, { status: 413, code: 'request_too_large' })
    const announced = await announce(key, 52_428_800)
    expect(announced).toMatch(/^HTTP\/1\.1 413 /)
    expect(announced).toMatch(/^connection: close\r$/im)
    expect(await sendChunked(key, large)).toMatch(/^HTTP\/1\.1 413 /)
  })

  test('A stated type that is not JSON, and an encoded body, get 415.', async () => {
    const { key } = await alice()
    const text = await untouched(() =>
      postChat(product.tollgate, key, HELLO, { headers: { 'content-type': 'text/plain' } }),
    )
    expectRefusal(text, { status: 415, code: 'unsupported_media_type' })
    const coded = await untouched(() =>
      postChat(product.tollgate, key, HELLO, { headers: { 'content-encoding': 'gzip' } }),
    )
    expectRefusal(coded, { status: 415, code: 'unsupported_encoding' })
  })

  test('JSON is accepted with any JSON content type, and without one.', async () => {
    const { key } = await alice()
    product.upstream.respond(chat())
    const answer = await postChat(product.tollgate, key, HELLO, {
      headers: { 'content-type': 'application/vnd.api+json; charset=utf-8' },
    })
    expect(answer.status).toBe(200)
    const unstated = await fetch(`${product.tollgate.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}` },
      body: Buffer.from(JSON.stringify(HELLO)),
    })
    expect(unstated.status).toBe(200)
  })
})

/** The first line of the answer to a body sent without its length. */
async function sendChunked(key: string, body: string): Promise<string> {
  const socket = connect(Number(new URL(product.tollgate.url).port), '127.0.0.1')
  // The other side closes while we still send.
  socket.on('error', () => {})
  const head = ['POST /v1/chat/completions HTTP/1.1', 'Host: tollgate', 'Content-Type: application/json']
  socket.write(`${[...head, `Authorization: Bearer ${key}`, 'Transfer-Encoding: chunked'].join('\r\n')}\r\n\r\n`)
  socket.write(`${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`)
  const [answer] = (await once(socket.setEncoding('utf8'), 'data')) as [string]
  socket.destroy()
  return answer
}
