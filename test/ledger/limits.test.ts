import { describe, expect, test } from 'vitest'
import { balances, close, extend, type HoldAnswer, hold, holdBatch, type Limit } from '../support/books.ts'
import { useDatabase } from '../support/database.ts'

const db = useDatabase()
const seed = () => db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
const march = '2030-03-01T00:00:00Z'
const april = '2030-04-01T00:00:00Z'

async function counters(id: string): Promise<string[]> {
  const { rows } = await db.pool.query<{ line: string }>(
    `select kind || ' ' || to_char(window_start at time zone 'UTC', 'MM') || ': ' || trim_scale(held) || ' held, '
      || trim_scale(used) || ' used' as line
    from tollgate.ledger_limits where id = $1 order by kind, window_start`,
    [id],
  )
  return rows.map((row) => row.line)
}

test('A hold counts on the limits of its call, and its charge too.', async () => {
  const org = await seed()
  const limits: Limit[] = [
    { kind: 'team', id: org.id, window_start: march, limit_amount: 100 },
    { kind: 'quota', id: org.id, window_start: march, unit: 'calls', limit_amount: 2 },
    { kind: 'key', id: org.id, window_start: march },
  ]
  const first = await hold(db.pool, org.id, { output: 60, limits })
  expect(first).toMatchObject({ outcome: 'held', held: '60', key_used: '0' })
  expect(await counters(org.id)).toEqual(['quota 03: 1 held, 0 used', 'team 03: 60 held, 0 used'])
  expect(await close(db.pool, org.id, first.callId, 45)).toMatchObject({ charged: '45', key_used: '45' })
  expect(await counters(org.id)).toEqual([
    'key 03: 0 held, 45 used',
    'quota 03: 0 held, 1 used',
    'team 03: 0 held, 45 used',
  ])
  const second = await hold(db.pool, org.id, { output: 10, limits })
  expect(second).toMatchObject({ outcome: 'held', key_used: '45' })
  await close(db.pool, org.id, second.callId, null)
  expect(await counters(org.id)).toEqual([
    'key 03: 0 held, 45 used',
    'quota 03: 0 held, 1 used',
    'team 03: 0 held, 45 used',
  ])
})

describe('a limit that has too little left', () => {
  test('A limit that has too little left refuses by name, and neither pool, allocation nor any other limit is touched.', async () => {
    const org = await seed()
    const limits: Limit[] = [
      { kind: 'end_user', id: org.id, window_start: march, limit_amount: 1_000 },
      { kind: 'key', id: org.id, window_start: march, limit_amount: 30 },
      { kind: 'team', id: org.id, window_start: march, limit_amount: 20 },
    ]
    expect(await hold(db.pool, org.id, { output: 21, limits })).toMatchObject({
      outcome: 'limit',
      limit_kind: 'team',
      required: '21',
      available: '20',
      held: null,
    })
    expect(await counters(org.id)).toEqual([
      'end_user 03: 0 held, 0 used',
      'key 03: 0 held, 0 used',
      'team 03: 0 held, 0 used',
    ])
    expect(await balances(db.pool, org.id)).toMatchObject({ pool: { held: '0' }, users: { alice: { held: '0' } } })
    const { rows } = await db.pool.query('select 1 from tollgate.ledger_holds where org_id = $1', [org.id])
    expect(rows).toEqual([])
  })

  test('A limit that has too little left grants a part where that covers the least.', async () => {
    const org = await seed()
    const limits: Limit[] = [{ kind: 'key', id: org.id, window_start: march, limit_amount: 30 }]
    expect(await hold(db.pool, org.id, { output: 400, least: 30, limits })).toMatchObject({
      outcome: 'held',
      held: '30',
    })
  })

  test('A limit that has too little left refuses the call after the last one, while that runs too.', async () => {
    const org = await seed()
    const limits: Limit[] = [{ kind: 'quota', id: org.id, window_start: march, unit: 'calls', limit_amount: 1 }]
    const { callId } = await hold(db.pool, org.id, { output: 1, limits })
    const refused = { outcome: 'limit', limit_kind: 'quota' }
    expect(await hold(db.pool, org.id, { output: 1, limits })).toMatchObject(refused)
    await close(db.pool, org.id, callId, 1)
    expect(await hold(db.pool, org.id, { output: 0, limits })).toMatchObject(refused)
  })

  test('A limit that has too little left refuses to extend, or extends by what it has left.', async () => {
    const org = await seed()
    const limits: Limit[] = [{ kind: 'key', id: org.id, window_start: march, limit_amount: 30 }]
    const { callId } = await hold(db.pool, org.id, { output: 10, limits })
    expect(await extend(db.pool, callId, 50, 31)).toEqual({ outcome: 'refused', held: '10' })
    expect(await extend(db.pool, callId, 50, 20)).toEqual({ outcome: 'extended', held: '30' })
    expect(await counters(org.id)).toEqual(['key 03: 30 held, 0 used'])
  })
})

test('A hold gives back to the window it was taken from, also when another one has begun.', async () => {
  const org = await seed()
  const window = (window_start: string): Limit[] => [{ kind: 'key', id: org.id, window_start, limit_amount: 100 }]
  const old = await hold(db.pool, org.id, { output: 60, limits: window(march) })
  const recent = await hold(db.pool, org.id, { output: 70, limits: window(april) })
  await close(db.pool, org.id, old.callId, 25)
  expect(await counters(org.id)).toEqual(['key 03: 0 held, 25 used', 'key 04: 70 held, 0 used'])
  await close(db.pool, org.id, recent.callId, null)
  expect(await counters(org.id)).toEqual(['key 03: 0 held, 25 used', 'key 04: 0 held, 0 used'])
})

test('A settle after a release counts on the limits, and as a call.', async () => {
  const org = await seed()
  const limits: Limit[] = [
    { kind: 'key', id: org.id, window_start: march },
    { kind: 'quota', id: org.id, window_start: march, unit: 'calls', limit_amount: 5 },
  ]
  const { callId } = await hold(db.pool, org.id, { output: 60, limits })
  await close(db.pool, org.id, callId, null)
  await close(db.pool, org.id, callId, 20)
  await close(db.pool, org.id, callId, 20)
  expect(await counters(org.id)).toEqual(['key 03: 0 held, 20 used', 'quota 03: 0 held, 1 used'])
})

describe('the key of a call', () => {
  const budget = (id: string, credits: number | null) =>
    db.pool.query(
      `insert into tollgate.ledger_limits (kind, id, window_start, limit_amount) values ('key', $1, '1970-01-01T00:00:00Z', $2)
        on conflict (kind, id, window_start) do update set limit_amount = excluded.limit_amount`,
      [id, credits],
    )

  test.each(['alone', 'in a batch'])('A key without a budget is counted when the call is over: %s.', async (how) => {
    const org = await seed()
    const calls = how === 'alone' ? [{ output: 60, keyId: org.id }] : [{ output: 60, keyId: org.id }, { output: 5 }]
    const [first] = await holdBatch(db.pool, org.id, calls)
    expect(first).toMatchObject({ outcome: 'held', held: '60', key_used: '0' })
    expect(await counters(org.id)).toEqual([])
    expect(await close(db.pool, org.id, first?.callId ?? '', 45)).toMatchObject({ charged: '45', key_used: '45' })
    expect(await counters(org.id)).toEqual(['key 01: 0 held, 45 used'])
    const [second] = await holdBatch(db.pool, org.id, calls)
    expect(second).toMatchObject({ outcome: 'held', key_used: '45' })
  })

  test.each(['alone', 'in a batch'])('A key with a budget spends no more than that: %s.', async (how) => {
    const org = await seed()
    await budget(org.id, 100)
    const calls = [
      { output: 60, keyId: org.id },
      { output: 60, keyId: org.id },
      { output: 60, least: 40, keyId: org.id },
    ]
    const batches = how === 'in a batch' ? [calls] : calls.map((call) => [call])
    const answers: HoldAnswer[] = []
    for (const batch of batches) answers.push(...(await holdBatch(db.pool, org.id, batch)))
    expect(answers).toMatchObject([
      { outcome: 'held', held: '60' },
      { outcome: 'limit', limit_kind: 'key', required: '60', available: '40' },
      { outcome: 'held', held: '40' },
    ])
    expect(await counters(org.id)).toEqual(['key 01: 100 held, 0 used'])
    await close(db.pool, org.id, answers[0]?.callId ?? '', 10)
    await close(db.pool, org.id, answers[2]?.callId ?? '', null)
    expect(await counters(org.id)).toEqual(['key 01: 0 held, 10 used'])
  })

  test('The key of a call given a budget while its call runs is counted when that is over, and bound from the next call on.', async () => {
    const org = await seed()
    const running = await hold(db.pool, org.id, { output: 60, keyId: org.id })
    await budget(org.id, 50)
    await close(db.pool, org.id, running.callId, 45)
    expect(await counters(org.id)).toEqual(['key 01: 0 held, 45 used'])
    expect(await hold(db.pool, org.id, { output: 6, keyId: org.id })).toMatchObject({
      outcome: 'limit',
      limit_kind: 'key',
      available: '5',
    })
  })

  test.each(['alone', 'in a batch'])(
    'The key of a call whose row counts calls is counted in calls: %s.',
    async (how) => {
      const org = await seed()
      await db.pool.query(
        "insert into tollgate.ledger_limits (kind, id, window_start, unit) values ('key', $1, '1970-01-01T00:00:00Z', 'calls')",
        [org.id],
      )
      const calls = [{ output: 60, keyId: org.id }, ...(how === 'alone' ? [] : [{ output: 5 }])]
      const [first] = await holdBatch(db.pool, org.id, calls)
      expect(await counters(org.id)).toEqual(['key 01: 0 held, 0 used'])
      await close(db.pool, org.id, first?.callId ?? '', 45)
      expect(await counters(org.id)).toEqual(['key 01: 0 held, 1 used'])
    },
  )
})

const FIVE = ['end_user', 'key', 'quota', 'run', 'team'] as const

test.each(FIVE)(
  'Of five limits of a call the one that is used up refuses, and is named, alone and in a batch: %s.',
  async (kind) => {
    const org = await seed()
    const isQuota = kind === 'quota'
    const limits = (used: string | null): Limit[] =>
      FIVE.map((name) => ({
        ...{ kind: name, id: `${org.id}/${used === name ? 'used up' : 'far'}`, window: 'day' },
        ...(name === 'quota'
          ? { unit: 'calls', limit_amount: used === name ? 1 : 9 }
          : { limit_amount: used === name ? 50 : 900 }),
      }))
    await hold(db.pool, org.id, { output: 45, limits: limits(kind) })
    const { rows } = await db.pool.query<{ tomorrow: string }>(
      "select to_json(tollgate.ledger_window_end('day', tollgate.tollgate_now())) as tomorrow",
    )
    const passes = { output: 6, limits: limits(null) }
    const refused = { output: 6, limits: limits(kind) }
    const limited_by = {
      ...{ kind, id: `${org.id}/used up`, unit: isQuota ? 'calls' : 'credits', amount: isQuota ? 1 : 50 },
      ...{ left: isQuota ? 0 : 5, window_end: rows[0]?.tomorrow },
    }
    const refusal = { outcome: 'limit', held: null, required: '6', limited_by }
    const available = isQuota ? ['855', '849'] : ['5', '5']
    expect(await holdBatch(db.pool, org.id, [refused])).toMatchObject([{ ...refusal, available: available[0] }])
    expect(await holdBatch(db.pool, org.id, [passes, refused, passes])).toMatchObject([
      { held: '6' },
      { ...refusal, available: available[1] },
      { held: '6' },
    ])
    expect(await balances(db.pool, org.id)).toMatchObject({ pool: { held: '57' } })
  },
)

test('A limit that is used up sends none of its neighbours one by one: a batch is decided in the set, exactly.', async () => {
  const org = await db.seedOrganization({ credits: 100_000, users: { alice: 50_000, bob: 50_000 } })
  const day = (id: string, limit_amount: number): Limit => ({
    kind: 'run',
    id: `${org.id}/${id}`,
    window: 'day',
    limit_amount,
  })
  const calls = Array.from({ length: 120 }, (_, i) => ({
    ...{ user: i % 2 === 0 ? 'alice' : 'bob', output: 10, least: 4 },
    limits: [i % 3 === 0 ? day('small', 74) : day('large', 10_000)],
  }))
  const responses = await holdBatch(db.pool, org.id, calls)
  const small = responses.filter((_, i) => i % 3 === 0)
  // Alice is served first: seven calls get what they want, the eighth what is left, and nobody more.
  expect(small.filter(({ outcome }) => outcome === 'held').map(({ held }) => held)).toEqual([
    ...Array(7).fill('10'),
    '4',
  ])
  expect(small.filter(({ outcome }) => outcome === 'limit').length).toBe(32)
  expect(responses.filter((_, i) => i % 3 !== 0).every(({ held }) => held === '10')).toBe(true)
  expect(await balances(db.pool, org.id)).toMatchObject({ pool: { held: '874' } })
})

test.each([
  ['hour', '2031-01-15T12:00:00Z', '2031-01-15T13:00:00Z'],
  ['day', '2031-01-15T00:00:00Z', '2031-01-16T00:00:00Z'],
  ['week', '2031-01-13T00:00:00Z', '2031-01-20T00:00:00Z'],
  ['month', '2031-01-01T00:00:00Z', '2031-02-01T00:00:00Z'],
])('A window of a %s is the one the clock of the database stands in, in UTC.', async (window, start, end) => {
  const { rows } = await db.pool.query(
    "select tollgate.ledger_window_start($1, $2) = $3 as starts, tollgate.ledger_window_end($1, $2) = $4 as ends from set_config('timezone', 'Asia/Tokyo', true)",
    [window, '2031-01-15T12:34:56.789Z', start, end],
  )
  expect(rows).toEqual([{ starts: true, ends: true }])
})
