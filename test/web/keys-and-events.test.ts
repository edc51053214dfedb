/** Keys of one's own, over HTTP; and the stream that says what of the caller's changed. */
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { useProduct } from '../support/product.ts'
import { tellApart } from '../support/tell-apart.ts'
import { MASTER_KEY, postChat } from '../support/tollgate.ts'
import { chatAnswer } from '../support/upstream-answers.ts'

const product = useProduct()
let acme: Awaited<ReturnType<typeof product.db.seedOrganization<'alice' | 'bob'>>>
let other: Awaited<ReturnType<typeof product.db.seedOrganization<'mallory'>>>

beforeAll(async () => {
  acme = await product.db.seedOrganization({ name: 'acme', credits: 1_000, users: { alice: 500, bob: 100 } })
  other = await product.db.seedOrganization({ name: 'other', credits: 1_000, users: { mallory: 500 } })
})

interface Key {
  id: string
  key: string
  name: string
  state: string
  [name: string]: unknown
}

async function ask<T = Key>(key: string, method: string, path: string, body?: object): Promise<[number, T]> {
  const answer = await fetch(`${product.tollgate.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  return [answer.status, (await answer.json()) as T]
}

const list = async (key: string) => (await ask<{ data: Key[] }>(key, 'GET', '/api/v1/keys'))[1].data
const HELLO = { model: 'exact', max_tokens: 100, messages: [{ role: 'user', content: 'Hello' }] }
const call = (key: string) => {
  product.upstream.respond(chatAnswer({ usage: { prompt_tokens: 7, completion_tokens: 100, total_tokens: 107 } }))
  return postChat(product.tollgate, key, HELLO)
}

describe('keys of one’s own', () => {
  test('A member makes a key with a budget, and its calls spend the member’s credits until the budget is used up.', async () => {
    const [status, made] = await ask(acme.keys.bob, 'POST', '/api/v1/keys', {
      ...{ name: 'small', max_budget: '0.004', budget_duration: '30d', rpm_limit: 60, models: ['exact'] },
    })
    expect([status, made.key]).toEqual([201, expect.stringMatching(/^sk-[\w-]{32}$/)])
    expect((await call(made.key)).headers.get('x-cost-incurred')).toBe('3.000000')
    const second = await call(made.key)
    expect([second.status, second.body]).toEqual([422, expect.stringContaining('udget')])
    const [shown] = await list(acme.keys.bob)
    expect(shown).toEqual({
      ...{ id: made.id, name: 'small', preview: `sk-...${made.key.slice(-4)}`, state: 'active' },
      ...{ created_at: expect.any(String), expires_at: expect.any(String), models: ['exact'] },
      last_used_on: new Date().toISOString().slice(0, 10),
      budget: { limit: '4', used: '3.000000', period: '30d', resets_at: expect.any(String) },
      ...{ requests_per_minute: 60, tokens_per_minute: null, spent: '3' },
    })
    const { rows } = await product.db.pool.query(
      `select used_credits::text as used from user_credit_allocations where user_id = 'bob' and org_id = $1`,
      [acme.id],
    )
    expect(rows).toEqual([{ used: '3.000000' }])
  })

  test('A key that was made anew is refused with its old secret, and one that was revoked with any.', async () => {
    const [, made] = await ask(acme.keys.alice, 'POST', '/api/v1/keys', { name: 'turning' })
    const [status, anew] = await ask(acme.keys.alice, 'POST', `/api/v1/keys/${made.id}/rotate`)
    expect([status, anew.id, anew.key === made.key]).toEqual([200, made.id, false])
    expect((await call(anew.key)).status).toBe(200)
    await expect.poll(async () => (await call(made.key)).status).toBe(401)
    expect((await ask(acme.keys.alice, 'DELETE', `/api/v1/keys/${made.id}`))[0]).toBe(200)
    await expect.poll(async () => (await call(anew.key)).status).toBe(401)
    expect((await list(acme.keys.alice)).find(({ id }) => id === made.id)?.state).toBe('revoked')
    expect((await ask(acme.keys.alice, 'POST', `/api/v1/keys/${made.id}/rotate`))[0]).toBe(404)
  })

  test('A key of the older kind is made anew and revoked as well.', async () => {
    const [, made] = await ask<{ key_id: string; api_key: string }>(
      ...([acme.keys.alice, 'POST', '/api/v1/account/uc-api-keys', { name: 'older' }] as const),
    )
    const [status, anew] = await ask(acme.keys.alice, 'POST', `/api/v1/keys/${made.key_id}/rotate`)
    expect([status, anew.key]).toEqual([200, expect.stringMatching(/^uc_/)])
    expect((await call(anew.key)).status).toBe(200)
    await expect.poll(async () => (await call(made.api_key)).status).toBe(401)
  })

  test('Nobody sees, makes anew or revokes the key of somebody else, in the organization or outside.', async () => {
    const [, made] = await ask(acme.keys.alice, 'POST', '/api/v1/keys', { name: 'private' })
    for (const stranger of [acme.keys.bob, other.keys.mallory]) {
      expect((await list(stranger)).map(({ id }) => id)).not.toContain(made.id)
      expect((await ask(stranger, 'POST', `/api/v1/keys/${made.id}/rotate`))[0]).toBe(404)
      expect((await ask(stranger, 'DELETE', `/api/v1/keys/${made.id}`))[0]).toBe(404)
    }
    expect((await call(made.key)).status).toBe(200)
  })

  test('A key that may do less than its user gives out no keys that may do more: it makes none, and turns none.', async () => {
    const [, budgeted] = await ask(acme.keys.alice, 'POST', '/api/v1/keys', { name: 'bounded', max_budget: 1 })
    const [, scoped] = await ask<{ api_key: string }>(acme.keys.alice, 'POST', '/api/v1/account/uc-api-keys', {
      ...{ name: 'scoped', permissions: ['keys:own', 'llm:models'] },
    })
    const [, free] = await ask(acme.keys.alice, 'POST', '/api/v1/keys', { name: 'free' })
    for (const key of [budgeted.key, scoped.api_key]) {
      expect((await ask(key, 'POST', '/api/v1/keys', { name: 'unbounded' }))[0]).toBe(403)
      for (const own of [free.id, acme.keyIds.alice])
        expect((await ask(key, 'POST', `/api/v1/keys/${own}/rotate`))[0]).toBe(403)
    }
    expect((await call(free.key)).status).toBe(200)
  })

  test('A user has a hundred active keys at most.', async () => {
    await product.db.pool.query(
      `insert into tollgate.api_keys (key_hash, preview, org_id, user_id)
       select sha256(convert_to('mallory ' || n, 'UTF8')), 'uc_...' || n, $1, 'mallory' from generate_series(2, 100) n`,
      [other.id],
    )
    const [status, refused] = await ask<{ error: { code: string } }>(
      ...([other.keys.mallory, 'POST', '/api/v1/keys', { name: 'one more' }] as const),
    )
    expect([status, refused.error.code]).toEqual([409, 'too_many_keys'])
  })

  test('The operator makes keys in the organization of the master key.', async () => {
    const [status, made] = await ask(MASTER_KEY, 'POST', '/api/v1/keys', { name: 'operator' })
    expect([status, (await call(made.key)).status]).toEqual([201, 200])
    expect((await list(MASTER_KEY)).map(({ name }) => name)).toEqual(['operator'])
  })
})

describe('the stream of what changes', () => {
  /** Resolves once the stream named a topic; what it named until then. */
  async function listen(key: string) {
    const stop = new AbortController()
    const answer = await fetch(`${product.tollgate.url}/api/v1/events`, {
      headers: { authorization: `Bearer ${key}` },
      signal: stop.signal,
    })
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8'])
    let heard = ''
    const reading = (async () => {
      for await (const text of answer.body!.pipeThrough(new TextDecoderStream())) heard += text
    })()
    // Whoever stops listening ends it so.
    reading.catch(() => {})
    return {
      async hears(pattern: RegExp): Promise<void> {
        await vi.waitFor(() => expect(heard).toMatch(pattern), { interval: 5 })
        heard = ''
      },
      heard: () => heard,
      stop: () => stop.abort(),
    }
  }

  test('Who listens hears of a call of theirs; an admin hears of the whole organization’s, a stranger of none.', async () => {
    // Whoever listens first is told at once, whatever changed; who comes later only of what changes from then on.
    const bob = await listen(acme.keys.bob)
    await bob.hears(/event: calls\ndata: \{\}\n\n/)
    const [alice, mallory] = await Promise.all([acme.keys.alice, other.keys.mallory].map((key) => listen(key)))
    expect((await call(acme.keys.bob)).status).toBe(200)
    await Promise.all([bob, alice].map((one) => one?.hears(/event: credits\n/)))
    // Everybody is told at once: what had been told to Mallory is here by now.
    await tellApart(product.tollgate)
    expect(mallory?.heard()).not.toContain('event:')
    expect((await call(other.keys.mallory)).status).toBe(200)
    await mallory?.hears(/event: calls\n/)
    for (const one of [bob, alice, mallory]) one?.stop()
  })

  test('A stranger gets no stream.', async () => {
    expect((await fetch(`${product.tollgate.url}/api/v1/events`)).status).toBe(401)
  })
})

test('A server that stops ends the streams it has.', async () => {
  const answer = await fetch(`${product.tollgate.url}/api/v1/events`, {
    headers: { authorization: `Bearer ${acme.keys.alice}` },
  })
  const [code, text] = await Promise.all([product.tollgate.stop(), answer.text()])
  expect([code, text]).toEqual([0, expect.stringContaining('retry: 2000')])
})
