/** The log of changes to keys: who, when, from where, what; append-only, complete, and never a value. */
import { expect, test } from 'vitest'
import { pruneAuditLog } from '../../src/vault/audit-log.ts'
import { expectRefusal } from '../support/error-shape.ts'
import { goodKey, useKeysProduct } from './keys-product.ts'

const product = useKeysProduct()
const LOG = '/api/v1/admin/audit-log'

interface Entry {
  id: string
  created_at: string
  action: string
  subject: string
  actor: string
  ip: string | null
  request_id: string | null
  details: Record<string, unknown> | null
}

async function entries(query = ''): Promise<{ entries: Entry[]; next: string | null }> {
  const answer = await product.send('GET', `${LOG}${query}`)
  expect(answer.status).toBe(200)
  return answer.json() as { entries: Entry[]; next: string | null }
}

test('Every change of a platform key has its entry.', async () => {
  const subject = '?subject=platform/openai_api_key'
  await product.send('PUT', '/api/v1/admin/platform-keys/openai', { api_key: goodKey('openai') })
  await product.send('PUT', '/api/v1/admin/platform-keys/openai', { api_key: `${goodKey('openai')}2` })
  const last = await product.send('DELETE', '/api/v1/admin/platform-keys/openai')
  const log = (await entries(subject)).entries
  expect(log.map(({ action, details }) => [action, details])).toEqual([
    ['key.removed', null],
    ['key.saved', { replaced: true, enabled: true }],
    ['key.saved', { replaced: false, enabled: true }],
  ])
  expect(log[0]).toMatchObject({
    subject: 'platform/openai_api_key',
    actor: 'admin',
    ip: expect.stringMatching(/127\.0\.0\.1$/),
    request_id: last.headers.get('x-request-id'),
    created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
  })
  expect(JSON.stringify(await entries())).not.toContain(goodKey('openai').slice(8))
})

test('Every change of a caller’s key has its entry, by user and organization.', async () => {
  const { id, keys } = await product.db.seedOrganization({ credits: 0, users: { alice: 0 } })
  const mine = { provider: 'groq', api_key: goodKey('groq') }
  await product.send('POST', '/api/v1/llm/byok/keys', mine, keys.alice)
  await product.send('POST', '/api/v1/llm/byok/keys/groq/toggle', { enabled: false }, keys.alice)
  await product.send('POST', '/api/v1/llm/byok/keys', { ...mine, scope: 'organization' }, keys.alice)
  expect((await entries(`?subject=user/${id}/alice/groq`)).entries.map(({ action, actor }) => [action, actor])).toEqual(
    [
      ['key.disabled', `${id}/alice`],
      ['key.saved', `${id}/alice`],
    ],
  )
  expect((await entries(`?subject=organization/${id}/groq`)).entries).toHaveLength(1)
})

test('The audit log is read page by page, newest first.', async () => {
  for (const name of ['xai', 'groq', 'openai'])
    await product.send('PUT', `/api/v1/admin/platform-keys/${name}`, { api_key: goodKey(name) })
  const first = await entries('?limit=2')
  expect(first.entries.map(({ subject }) => subject)).toEqual(['platform/openai_api_key', 'platform/groq_api_key'])
  expect(first.next).toBe(first.entries[1]?.id)
  const second = await entries(`?limit=1&before=${first.next}`)
  expect(second.entries.map(({ subject }) => subject)).toEqual(['platform/xai_api_key'])
  expect(await entries('?limit=1&before=0')).toEqual({ entries: [], next: null })
})

test.each(['limit=0', 'limit=1001', 'limit=x', 'before=x', 'before=99999999999999999999', 'subject=%00'])(
  'The audit log refuses the query ?%s.',
  async (query) => {
    const param = query.split('=')[0] ?? ''
    expectRefusal(await product.send('GET', `${LOG}?${query}`), { status: 422, code: 'invalid_request', param })
  },
)

test('Nobody can change the audit log, not even with psql.', async () => {
  await product.send('PUT', '/api/v1/admin/platform-keys/openai', { api_key: goodKey('openai') })
  for (const statement of [
    'delete from tollgate.audit_log',
    "update tollgate.audit_log set actor = 'nobody'",
    'truncate tollgate.audit_log',
  ])
    await expect(product.db.pool.query(statement)).rejects.toThrow()
})

test('An entry of the audit log is removed when it is older than the operator keeps entries, and never before 90 days.', async () => {
  const { db } = product
  await product.send('PUT', '/api/v1/admin/platform-keys/groq', { api_key: goodKey('groq') })
  const count = async () => (await db.pool.query('select id from tollgate.audit_log')).rowCount ?? 0
  const before = await count()
  expect(before).toBeGreaterThan(0)
  const removed = async (days: number) =>
    Number((await db.pool.query('select tollgate.audit_log_prune($1) as removed', [days])).rows[0].removed)

  await db.moveClock('89 days')
  expect(await removed(1)).toBe(0)
  await expect(db.pool.query('delete from tollgate.audit_log')).rejects.toThrow('append-only')
  await db.moveClock('2 days')
  await product.send('PUT', '/api/v1/admin/platform-keys/groq', { api_key: `${goodKey('groq')}2` })
  expect(await removed(400)).toBe(0)
  expect(await removed(90)).toBe(before)
  expect(await count()).toBe(1)
  await expect(db.pool.query('delete from tollgate.audit_log')).rejects.toThrow('append-only')
  await db.moveClock('91 days')
  await pruneAuditLog(db.database, 400)
  expect(await count()).toBe(1)
  await pruneAuditLog(db.database, 90)
  expect(await count()).toBe(0)
})

test('Entries of the audit log are removed a thousand at a time, and two processes that do it at once do not wait for each other.', async () => {
  const { db } = product
  // Left by the tests before, and looked at first.
  const { rowCount: younger } = await db.pool.query('select from tollgate.audit_log')
  await db.pool.query(`insert into tollgate.audit_log (action, subject, actor, created_at)
    select 'key.saved', 'old', 'nobody', tollgate.tollgate_now() - interval '500 days' from generate_series(1, 2500)`)
  const prune = async () => Number((await db.pool.query('select tollgate.audit_log_prune(400) as n')).rows[0].n)
  expect(await prune()).toBe(1_000 - (younger ?? 0))
  const both = await Promise.all([prune(), prune()])
  expect(both.every((n) => n <= 1_000)).toBe(true)
  while ((await prune()) > 0);
  const { rowCount } = await db.pool.query("select from tollgate.audit_log where subject = 'old'")
  expect(rowCount).toBe(0)
})

test('A caller changes keys twenty times a minute, so that the log is not filled by one.', async () => {
  const { keys } = await product.db.seedOrganization({ credits: 0, users: { alice: 0, bob: 0 } })
  const save = (key: string) =>
    product.send('POST', '/api/v1/llm/byok/keys', { provider: 'groq', api_key: goodKey('groq') }, key)
  for (let n = 0; n < 20; n += 1) expect((await save(keys.alice)).status).toBe(200)
  const refused = await save(keys.alice)
  expect([refused.status, refused.json().detail]).toEqual([429, 'Rate limit exceeded. Maximum 20 changes per minute.'])
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
  const toggled = await product.send('POST', '/api/v1/llm/byok/keys/groq/toggle', { enabled: false }, keys.alice)
  expect(toggled.status).toBe(429)
  expect((await product.send('DELETE', '/api/v1/llm/byok/keys/groq', undefined, keys.alice)).status).toBe(429)
  expect((await save(keys.bob)).status).toBe(200)
})
