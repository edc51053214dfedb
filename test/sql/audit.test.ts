/**
 * The audit of the books: each thing it looks at, made wrong by hand, is found by its name and by nothing else, with what is
 * stored and what the rows add up to; and what it reads is one moment of the books.
 */
import { randomUUID } from 'node:crypto'
import type { KyselyPlugin } from 'kysely'
import { beforeAll, describe, expect, test } from 'vitest'
import { audit } from '../../src/ledger/audit.ts'
import { close, hold, type Limit } from '../support/books.ts'
import { useDatabase } from '../support/database.ts'

const db = useDatabase()
const march = '2030-03-01T00:00:00Z'

/** Of the organization whose books are made wrong. */
let orgId: string
let keyId: string
/** Its calls: 40 credits on the books, one that runs with 25 set aside, and two that count on limits. */
let settled: string
let running: string

beforeAll(async () => {
  const org = await db.seedOrganization({ credits: 1_000, users: { alice: 500, bob: 300 } })
  orgId = org.id
  keyId = org.keyIds.alice
  const limits: Limit[] = [
    { kind: 'key', id: keyId, window_start: march, limit_amount: 500 },
    { kind: 'quota', id: keyId, window_start: march, unit: 'calls', limit_amount: 10 },
  ]
  settled = (await hold(db.pool, orgId, { output: 50 })).callId
  await close(db.pool, orgId, settled, 40)
  running = (await hold(db.pool, orgId, { output: 25 })).callId
  const limited = await hold(db.pool, orgId, { output: 50, limits })
  await close(db.pool, orgId, limited.callId, 12)
  await hold(db.pool, orgId, { output: 10, limits })
})

interface Wrong {
  finding: string
  /** What somebody did to the books, all of it: what else hangs on it is kept right, so that nothing else is found. */
  statements: () => string[]
  stored: string | null
  recomputed: string | null
  userId?: string
  callId?: () => string
  organization?: false
}

const pool = (change: string) => `update organization_credit_pools set ${change} where org_id = '${orgId}'`
const alice = (change: string) =>
  `update user_credit_allocations set ${change} where org_id = '${orgId}' and user_id = 'alice'`
const journal = (kind: string, columns: string, values: string) =>
  `insert into tollgate.ledger_journal (kind, org_id, ${columns}) values ('${kind}', '${orgId}', ${values})`
const entry = (callId: string, user: string, credits: number) =>
  `insert into credit_usage_attribution (call_id, org_id, user_id, credits_used, service_type)
    values ('${callId}', '${orgId}', '${user}', ${credits}, 'llm_inference')`
/** What the trigger adds to the sums by day for such a row. */
const counted = (user: string, credits: number) => sums('deltas', ['user_id', 'key_id'], [user, ''], credits)
const sums = (table: string, columns: string[], values: string[], credits: number) =>
  `insert into tollgate.usage_${table} (day, org_id, service_type, model, provider, calls, failed_calls, credits, api_cost, input_tokens,
      cached_tokens, output_tokens${columns.map((column) => `, ${column}`).join('')})
    values ('2030-03-01', '${orgId}', 'llm_inference', '', '', 1, 0, ${credits}, 0, 0, 0, 0${values.map((value) => `, '${value}'`).join('')})`
const limit = (kind: string, change: string) =>
  `update tollgate.ledger_limits set ${change} where kind = '${kind}' and id = '${keyId}'`
/** A correction that gives two credits back, in the journal and in the balances. */
const givenBack = (callId: string, cause = 'recovery') => [
  journal(
    'correction',
    'cause, user_id, call_id, pool_total, pool_allocated, allocation_allocated',
    `'${cause}', 'alice', '${callId}', 2, 2, 2`,
  ),
  pool('total_credits = total_credits + 2, allocated_credits = allocated_credits + 2'),
  alice('allocated_credits = allocated_credits + 2'),
]
const strange = randomUUID()
const NOT_NEEDED = 'a correction belongs to a call that did not need it'
const NOT_CHARGED = 'a closed hold is not charged what its rows say'
const WITHOUT_ROWS = `insert into tollgate.ledger_holds (call_id, owner, org_id, user_id, allocation_id, state, held_credits,
    input_credits, charged_credits, service_type, closed_at)
  select '${strange}', '${strange}', org_id, user_id, id, 'settled', 5, 0, 5, 'llm_inference', now() from user_credit_allocations`

const WRONGS: Wrong[] = [
  {
    finding: 'pool.total_credits is not the sum of the journal',
    statements: () => [pool('total_credits = total_credits + 1')],
    stored: '1001',
    recomputed: '1000',
  },
  {
    finding: 'pool.allocated_credits is not the sum of the journal',
    statements: () => [journal('allocate', 'pool_allocated', '-1')],
    stored: '800',
    recomputed: '799',
  },
  {
    finding: 'pool.used_credits is not the sum of the charges',
    statements: () => [
      pool('used_credits = used_credits + 1, allocated_credits = allocated_credits + 1'),
      journal('allocate', 'pool_allocated', '1'),
    ],
    stored: '53',
    recomputed: '52',
  },
  {
    finding: 'pool.held_credits is not the sum of the open holds',
    statements: () => [pool('held_credits = held_credits - 1')],
    stored: '34',
    recomputed: '35',
  },
  {
    finding: 'pool.allocated - used is not the sum of what users have left',
    statements: () => [pool('allocated_credits = allocated_credits + 1'), journal('allocate', 'pool_allocated', '1')],
    stored: '749',
    recomputed: '748',
  },
  {
    finding: 'pool.overage_credits is not what allocations are below zero',
    statements: () => [pool('overage_credits = 3')],
    stored: '3',
    recomputed: '0',
  },
  {
    finding: 'allocation.allocated_credits is not the sum of the journal',
    statements: () => [journal('allocate', 'user_id, allocation_allocated', "'alice', 1")],
    userId: 'alice',
    stored: '500',
    recomputed: '501',
  },
  {
    finding: 'allocation.used_credits is not the charges less the resets',
    statements: () => [journal('reset', 'user_id, allocation_used', "'alice', -1")],
    userId: 'alice',
    stored: '52',
    recomputed: '51',
  },
  {
    finding: 'allocation.held_credits is not the sum of the open holds',
    statements: () => [alice('held_credits = held_credits + 1')],
    userId: 'alice',
    stored: '36',
    recomputed: '35',
  },
  {
    finding: 'allocation.margin_credits is not the sum of the open holds',
    statements: () => [alice('margin_credits = margin_credits + 1')],
    userId: 'alice',
    stored: '1',
    recomputed: '0',
  },
  {
    finding: 'a charge belongs to a user without an allocation',
    statements: () => [
      entry(strange, 'nobody', 7),
      counted('nobody', 7),
      pool('used_credits = used_credits + 7, allocated_credits = allocated_credits + 7'),
      journal('allocate', 'pool_allocated', '7'),
    ],
    userId: 'nobody',
    stored: '7',
    recomputed: '0',
  },
  {
    finding: 'limit.held is not the sum of the open holds',
    statements: () => [limit('key', 'held = held + 1')],
    organization: false,
    stored: '11',
    recomputed: '10',
  },
  {
    finding: 'limit.held is not the sum of the open holds',
    statements: () => [limit('quota', 'held = 0')],
    organization: false,
    stored: '0',
    recomputed: '1',
  },
  {
    finding: 'limit.used is not the sum of the charges',
    statements: () => [limit('key', 'used = used - 1')],
    organization: false,
    stored: '11',
    recomputed: '12',
  },
  {
    finding: 'limit.used is not the sum of the charges',
    statements: () => [limit('quota', 'used = 2')],
    organization: false,
    stored: '2',
    recomputed: '1',
  },
  {
    finding: NOT_CHARGED,
    statements: () => [`update tollgate.ledger_holds set charged_credits = 41 where call_id = '${settled}'`],
    userId: 'alice',
    callId: () => settled,
    stored: '41',
    recomputed: '40',
  },
  {
    finding: NOT_CHARGED,
    statements: () => [`${WITHOUT_ROWS} where org_id = '${orgId}' and user_id = 'alice'`],
    userId: 'alice',
    callId: () => strange,
    stored: '5',
    recomputed: null,
  },
  {
    finding: 'an open hold is already charged',
    statements: () => [
      entry(running, 'alice', 3),
      counted('alice', 3),
      pool('used_credits = used_credits + 3'),
      alice('used_credits = used_credits + 3'),
    ],
    userId: 'alice',
    callId: () => running,
    stored: null,
    recomputed: '3',
  },
  {
    finding: NOT_NEEDED,
    statements: () => givenBack(strange),
    userId: 'alice',
    callId: () => strange,
    stored: '-2',
    recomputed: null,
  },
  {
    finding: NOT_NEEDED,
    statements: () => givenBack(running),
    userId: 'alice',
    callId: () => running,
    stored: '-2',
    recomputed: null,
  },
  {
    finding: NOT_NEEDED,
    statements: () => givenBack(settled),
    userId: 'alice',
    callId: () => settled,
    stored: '-2',
    recomputed: null,
  },
  {
    finding: NOT_NEEDED,
    statements: () => givenBack(settled, 'dispute'),
    userId: 'alice',
    callId: () => settled,
    stored: '-2',
    recomputed: null,
  },
  {
    finding: 'the sums by day of a user are not the charges',
    statements: () => [sums('days', ['user_id', 'key_id'], ['alice', ''], 5)],
    userId: 'alice',
    stored: '57',
    recomputed: '52',
  },
  {
    finding: 'the sums by day of an organization are not the charges',
    statements: () => [sums('organization_days', [], [], 5)],
    stored: '57',
    recomputed: '52',
  },
  {
    finding: 'credits and dollars of a charge differ',
    statements: () => [`update credit_usage_attribution set markup_applied = 0.001 where call_id = '${settled}'`],
    userId: 'alice',
    callId: () => settled,
    stored: '0.04',
    recomputed: '0.041',
  },
]

describe('the audit', () => {
  test.each(WRONGS)('The audit finds that $finding, and nothing else: $stored, not $recomputed', async (wrong) => {
    const client = await db.pool.connect()
    try {
      await client.query('begin')
      // As a superuser may: neither triggers nor references stand in the way.
      await client.query('set local session_replication_role = replica')
      for (const statement of wrong.statements()) {
        expect((await client.query(statement)).rowCount, statement).toBe(1)
      }
      const { rows } = await client.query(
        `select finding, org_id, user_id, call_id, trim_scale(stored) as stored, trim_scale(recomputed) as recomputed
          from tollgate.ledger_audit()`,
      )
      const { finding, stored, recomputed, userId = null, callId } = wrong
      expect(rows).toEqual([
        {
          finding,
          org_id: wrong.organization === false ? null : orgId,
          user_id: wrong.organization === false ? keyId : userId,
          call_id: callId?.() ?? null,
          stored,
          recomputed,
        },
      ])
    } finally {
      await client.query('rollback')
      client.release()
    }
  })

  test('The audit is of one moment: what is committed between its two questions is in neither answer.', async () => {
    const before = await audit(db.database)
    expect(before).toMatchObject({ charges: expect.any(Number), findings: [] })
    /** Sees each answer of the audit before the audit does. */
    const between: KyselyPlugin = {
      transformQuery: ({ node }) => node,
      async transformResult({ result }) {
        if (result.rows[0] !== undefined && 'open_holds' in result.rows[0]) await meanwhile()
        return result
      },
    }
    async function meanwhile(): Promise<void> {
      const other = await db.seedOrganization({ credits: 10, users: { alice: 10 } })
      const { callId } = await hold(db.pool, other.id, { output: 5 })
      await close(db.pool, other.id, callId, 4)
      await db.pool.query(pool('overage_credits = 3'))
    }
    try {
      expect(await audit({ ...db.database, query: db.database.query.withPlugin(between) })).toEqual(before)
      expect(await audit(db.database)).toMatchObject({
        organizations: before.organizations + 1,
        charges: before.charges + 1,
        findings: [{ finding: 'pool.overage_credits is not what allocations are below zero', stored: '3.000000' }],
      })
    } finally {
      await db.pool.query(pool('overage_credits = 0'))
    }
  })
})
