/** Keys of services that are stored: made, rotated and revoked from the command line and over HTTP. */
import { describe, expect, test } from 'vitest'
import { readOptions } from '../../src/commands/options.ts'
import { useProduct } from '../support/product.ts'
import { runCommand } from '../support/run-tollgate.ts'
import { type CallAnswer, MASTER_KEY, postChat } from '../support/tollgate.ts'
import { chatAnswer } from '../support/upstream-answers.ts'

const product = useProduct()
const PATH = '/api/v1/admin/service-keys'
const BODY = { model: 'exact', max_tokens: 10, messages: [{ role: 'user', content: 'Hello!' }] }

async function run(...args: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await runCommand({ args, databaseUrl: product.db.url })
  expect([code, stderr]).toEqual([0, ''])
  return JSON.parse(stdout)
}

async function send(method: string, path: string, body?: object, key: string | null = MASTER_KEY): Promise<CallAnswer> {
  const answer = await fetch(`${product.tollgate.url}${path}`, {
    method,
    headers: { 'content-type': 'application/json', ...(key === null ? {} : { authorization: `Bearer ${key}` }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await answer.text()
  return { status: answer.status, headers: answer.headers, body: text, json: () => JSON.parse(text) }
}

function call(key: unknown, model = 'exact') {
  product.upstream.respond(chatAnswer({ model }))
  return postChat(product.tollgate, String(key), { ...BODY, model })
}

async function fund(organization: string, credits: number): Promise<void> {
  await product.db.pool.query('select add_credits_to_pool(id, $2) from organizations where name = $1', [
    organization,
    credits,
  ])
}

/** Resolves once the status is what it should be: within a second, and the time of a request. */
function turns(key: unknown, status: number) {
  return expect.poll(async () => (await call(key)).status, { timeout: 20_000, interval: 50 }).toBe(status)
}

describe('tollgate service-key', () => {
  test('The command service-key makes a key with its organization, lists it and revokes it.', {
    timeout: 120_000,
  }, async () => {
    const made = await run('service-key', 'create', '--name', 'search', '--org', 'search-inc', '--models', 'exact')
    expect(made).toMatchObject({
      name: 'search',
      key: expect.stringMatching(/^sk-svc-[0-9a-f]{64}$/),
      key_preview: expect.stringMatching(/^sk-svc-[0-9a-f]{4}\.\.\.[0-9a-f]{4}$/),
      state: 'active',
      organization: 'search-inc',
      user: 'search-service',
      act_as: 'none',
      models: ['exact'],
      routes: ['llm'],
    })
    await fund('search-inc', 100)
    expect([(await call(made.key)).status, (await call(made.key, 'gpt-4o')).status]).toEqual([200, 403])
    const limits = { requests_per_minute: null, tokens_per_minute: null, calls_at_once: null }
    expect(made).toMatchObject(limits)
    const { stdout } = await runCommand({ args: ['service-key', 'list'], databaseUrl: product.db.url })
    expect(stdout).toMatch(/search +sk-svc-\S+ +active +search-inc/)
    expect(await run('service-key', 'revoke', '--name', 'search')).toEqual({ name: 'search', revoked: 1 })
    await turns(made.key, 401)
  })

  test('The command service-key gives a key limits of its own, which the key that replaces it has too.', {
    timeout: 120_000,
  }, async () => {
    const flags = ['--requests-per-minute', '2', '--tokens-per-minute=5000', '--calls-at-once', '7']
    const limits = { requests_per_minute: 2, tokens_per_minute: 5000, calls_at_once: 7 }
    expect(await run('service-key', 'create', '--name', 'slow', '--org', 'slow-inc', ...flags)).toMatchObject(limits)
    await fund('slow-inc', 100)
    const { key, ...next } = await run('service-key', 'rotate', '--name', 'slow', '--overlap-hours', '0')
    expect(next).toMatchObject(limits)
    const { stdout } = await runCommand({ args: ['service-key', 'list', '--json'], databaseUrl: product.db.url })
    expect(JSON.parse(stdout).find(({ name }: { name: string }) => name === 'slow')).toMatchObject(limits)
    const answers = [await call(key), await call(key), await call(key)]
    expect(answers.map(({ status, headers }) => [status, headers.get('x-ratelimit-remaining')])).toEqual([
      [200, '1'],
      [200, '0'],
      [429, '0'],
    ])
  })

  test.each([
    { command: 'create', args: ['--name', 'x'], says: '--org is missing' },
    {
      command: 'create',
      args: ['--name=x', '--org=o', '--routes=llm,everything'],
      says: "'everything' is neither",
    },
    { command: 'create', args: ['--name=x', '--org=o', '--calls-at-once=0'], says: '--calls-at-once must be a whole' },
    { command: 'rotate', args: ['--name=x', '--overlap-hours=-1'], says: '--overlap-hours must be a whole number' },
  ])('$command says what is wrong with $args', ({ command, args, says }) => {
    expect(() => readOptions(`service-key ${command}`, args, {})).toThrow(says)
  })
})

describe('/api/v1/admin/service-keys', () => {
  test('/api/v1/admin/service-keys makes, lists, rotates and revokes, and leaves an entry in the audit log each time, never a key.', async () => {
    const made = await send('POST', PATH, {
      name: 'partner',
      organization: 'partner-inc',
      user: 'robot',
      act_as: 'members',
      routes: ['llm', '/api/v1/org-billing/*'],
      tokens_per_minute: 3_000_000_000,
      calls_at_once: 7,
    })
    expect([made.status, made.json()]).toMatchObject([
      201,
      { requests_per_minute: null, tokens_per_minute: 3_000_000_000, calls_at_once: 7 },
    ])
    expect([made.status, made.json()]).toMatchObject([
      201,
      { name: 'partner', user: 'robot', act_as: 'members', models: null, routes: ['llm', '/api/v1/org-billing/*'] },
    ])
    await fund('partner-inc', 100)
    expect((await call(made.json().key)).status).toBe(200)
    const again = await send('POST', PATH, { name: 'partner', organization: 'partner-inc' })
    expect([again.status, again.json()]).toMatchObject([409, { error: { code: 'service_key_exists' } }])

    const second = await send('POST', `${PATH}/partner/rotate`, { overlap_seconds: 3_600 })
    expect(second.status).toBe(200)
    expect([(await call(made.json().key)).status, (await call(second.json().key)).status]).toEqual([200, 200])
    const next = await send('POST', `${PATH}/partner/rotate`, { overlap_seconds: 0 })
    await turns(second.json().key, 401)
    expect((await call(second.json().key)).json()).toMatchObject({ error: { code: 'expired_api_key' } })
    expect([(await call(made.json().key)).status, (await call(next.json().key)).status]).toEqual([200, 200])

    const listed = await send('GET', PATH)
    const { service_keys: keys } = listed.json() as { service_keys: { name: string; state: string }[] }
    expect(keys.filter(({ name }) => name === 'partner').map(({ state }) => state)).toEqual([
      'active',
      'expired',
      'replaced',
    ])
    expect(listed.body).not.toMatch(/[0-9a-f]{64}/)

    expect((await send('DELETE', `${PATH}/partner`)).json()).toEqual({ name: 'partner', revoked: 3 })
    expect((await send('DELETE', `${PATH}/partner`)).status).toBe(404)
    expect((await send('POST', `${PATH}/nobody/rotate`, {})).status).toBe(404)

    const log = await send('GET', '/api/v1/admin/audit-log?subject=service_key/partner')
    const { entries } = log.json() as { entries: { action: string; actor: string }[] }
    expect(entries.map(({ action, actor }) => [action, actor])).toEqual([
      ['api_key.revoked', 'admin'],
      ['api_key.revoked', 'admin'],
      ['api_key.revoked', 'admin'],
      ['api_key.created', 'admin'],
      ['api_key.replaced', 'admin'],
      ['api_key.created', 'admin'],
      ['api_key.replaced', 'admin'],
      ['api_key.created', 'admin'],
    ])
    expect(log.body).not.toMatch(/[0-9a-f]{64}/)
  })

  test.each([
    [{ organization: 'o' }, 'name'],
    [{ name: 'a b', organization: 'o' }, 'name'],
    [{ name: 'x' }, 'organization'],
    [{ name: 'x', organization: 'o', act_as: 'anyone' }, 'act_as'],
    [{ name: 'x', organization: 'o', routes: ['everything'] }, 'routes[0]'],
    [{ name: 'x', organization: 'o', models: [] }, 'models'],
    [{ name: 'x', organization: 'o', calls_at_once: 0 }, 'calls_at_once'],
    [{ name: 'x', organization: 'o', requests_per_minute: 2_147_483_648 }, 'requests_per_minute'],
    [{ name: 'x', organization: 'o', tokens_per_minute: 1.5 }, 'tokens_per_minute'],
    [{ name: 'x', organization: 'o', expires_at: 'tomorrow' }, 'expires_at'],
  ])('/api/v1/admin/service-keys refuses %j and names the member.', async (body, param) => {
    const answer = await send('POST', PATH, body)
    expect([answer.status, answer.json()]).toMatchObject([422, { error: { param } }])
  })

  test('/api/v1/admin/service-keys is for system administrators.', async () => {
    const { keys } = await product.db.seedOrganization({ credits: 0, users: { owner: 0 } })
    for (const [method, path] of [
      ['GET', PATH],
      ['POST', PATH],
      ['POST', `${PATH}/x/rotate`],
      ['DELETE', `${PATH}/x`],
    ] as const) {
      expect((await send(method, path, undefined, null)).status).toBe(401)
      expect((await send(method, path, undefined, keys.owner)).status).toBe(403)
    }
  })
})
