/** Identity, calls and reports have database connections apart: what hangs in one keeps nobody from the others. */
import { expect, test } from 'vitest'
import { useProduct } from '../support/product.ts'
import { get, MASTER_KEY, postChat } from '../support/tollgate.ts'
import { chat } from '../support/upstream-answers.ts'

const product = useProduct()
const HELLO = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Say hello' }] }

test('While forty reports hang, a new caller is identified and served, and the process stays ready.', async () => {
  const { db, tollgate, upstream } = product
  upstream.respond(chat())
  const lock = await db.pool.connect()
  const isHanging = async () => {
    const { rows } = await db.pool.query<{ count: number }>(
      `select count(*)::int from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%audit_log%'`,
    )
    return rows[0]?.count
  }
  try {
    await lock.query('begin; lock table tollgate.audit_log in access exclusive mode')
    const reports = Array.from({ length: 40 }, () => get(tollgate, MASTER_KEY, '/api/v1/admin/audit-log'))
    await expect.poll(isHanging, { timeout: 20_000 }).toBe(8)
    const { keys } = await db.seedOrganization({ credits: 100, users: { alice: 50 } })
    const answer = await postChat(tollgate, keys.alice, HELLO, { headers: { 'Idempotency-Key': 'beside-reports' } })
    expect(answer.status).toBe(200)
    expect((await get(tollgate, null, '/health/readiness')).status).toBe(200)
    await lock.query('rollback')
    await Promise.all(reports)
  } finally {
    lock.release()
  }
})
