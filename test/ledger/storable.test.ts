import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { jsonArray, jsonText } from '../../src/ledger/json-rows.ts'
import type { HoldRequest, Ledger, Provenance } from '../../src/ledger/ledger.ts'
import { storableJson, storableText } from '../../src/ledger/storable.ts'
import { balances } from '../support/books.ts'
import { type SeededOrganization, useDatabase } from '../support/database.ts'
import { holdRequest, openLedger, settlementOf } from '../support/open-ledger.ts'

const db = useDatabase()
const seed = () => db.seedOrganization({ credits: 1_000, users: { alice: 1_000 } })
type Org = SeededOrganization<'alice'>

describe('storableText', () => {
  test.each([
    ['plain', 'plain', 10],
    ['', '', 10],
    ['\0', '\ufffd', 10],
    ['a\0b\0', 'a\ufffdb\ufffd', 10],
    ['\ud800', '\ufffd', 10],
    ['\udc00a', '\ufffda', 10],
    ['\udc00\ud800', '\ufffd\ufffd', 10],
    ['😀', '😀', 2],
    ['ab😀', 'ab\ufffd', 3],
    ['\u2028\ufeff\u007f\r\n\t', '\u2028\ufeff\u007f\r\n\t', 10],
    ['x'.repeat(11), 'x'.repeat(10), 10],
  ])('storableText makes of %j what can be stored: %j.', (text, stored, max) => {
    expect(storableText(text, max)).toBe(stored)
  })
})

describe('storableJson', () => {
  test.each<[string, unknown, string]>([
    ['nothing', undefined, 'null'],
    ['null', null, 'null'],
    ['amounts', { held: 12n, list: [10n ** 30n] }, `{"held":"12","list":["1${'0'.repeat(30)}"]}`],
    ['numbers JSON has no word for', [Number.NaN, Number.POSITIVE_INFINITY, -0, 1e300], '[null,null,0,1e+300]'],
    ['members without a value', { a: undefined, b: 1 }, '{"b":1}'],
    ['NUL in values and keys', { 'a\0': '\0', list: ['\0'] }, '{"a\ufffd":"\ufffd","list":["\ufffd"]}'],
    ['lone surrogates in values and keys', { '\ud800': ['\udc00x'] }, '{"\ufffd":["\ufffdx"]}'],
    ['an escape that is text', '\\u0000 \\ud800', '"\\\\u0000 \\\\ud800"'],
    ['what is escaped and storable', '"\\\n\u0001😀', '"\\"\\\\\\n\\u0001😀"'],
    ['a long text', { text: 'x'.repeat(20_000) }, `{"text":"${'x'.repeat(10_000)}"}`],
    ['a long key', { ['k'.repeat(20_000)]: 1n }, `{"${'k'.repeat(200)}":"1"}`],
    ['a text cut in the middle of a character', `${'x'.repeat(9_999)}😀`, `"${'x'.repeat(9_999)}\ufffd"`],
  ])('storableJson makes what can be stored: %s.', (_, value, text) => {
    expect(storableJson(value)).toBe(text)
  })
})

describe('array literals', () => {
  test('Array literals are read back by PostgreSQL as they were.', async () => {
    const texts = [
      '',
      'NULL',
      'null',
      '{NULL}',
      '{}',
      '"',
      '\\',
      '\\"',
      '},{"',
      'a,b',
      ' a ',
      '\n',
      "'; drop table x; --",
      '😀',
      null,
    ]
    const amounts = texts.map((_, i) => ['1.500000', null, '-2'][i % 3] ?? null)
    const documents = texts.map((text) => (text === null ? null : { [text]: [text] }))
    const rows = texts.map((text, i) => ({
      text: jsonText(text),
      amount: amounts[i] ?? null,
      document: documents[i] == null ? null : JSON.stringify(documents[i]),
    }))
    const read = await db.pool.query(
      'select text, amount::text, document from jsonb_to_recordset($1) as t(text text, amount numeric, document jsonb)',
      [jsonArray(rows)],
    )
    expect(read.rows).toEqual(
      texts.map((text, i) => ({ text, amount: amounts[i] ?? null, document: documents[i] ?? null })),
    )
  })
})

interface Hostile {
  text: string
  /** As service_name (200), request_id (255), a value of details (10 000) and a key of them; the same unless stated. */
  service?: string
  request?: string
  value?: string
  key?: string
}

const megabyte = 'x'.repeat(2 ** 20)
const hostile: Record<string, Hostile> = {
  NUL: { text: 'a\0b', service: 'a\ufffdb', request: 'a\ufffdb', value: 'a\ufffdb', key: 'a\ufffdb' },
  'a lone high surrogate': {
    text: 'a\ud800b',
    service: 'a\ufffdb',
    request: 'a\ufffdb',
    value: 'a\ufffdb',
    key: 'a\ufffdb',
  },
  'a lone low surrogate': { text: '\udfff', service: '\ufffd', request: '\ufffd', value: '\ufffd', key: '\ufffd' },
  'a megabyte': {
    text: megabyte,
    service: 'x'.repeat(200),
    request: 'x'.repeat(255),
    value: 'x'.repeat(10_000),
    key: 'x'.repeat(200),
  },
  'an emoji at the limit': { text: `${'x'.repeat(199)}😀`, service: `${'x'.repeat(199)}\ufffd` },
  'quotes, backslashes, braces': { text: `"'\\\\{},"},{"$1$$;--\\u0000\\` },
  '{NULL}': { text: '{NULL}' },
  NULL: { text: 'NULL' },
  nothing: { text: '' },
  emoji: { text: '👩‍🚀😀\u200d\ufe0f' },
  'control characters': { text: '\u0001\u001b[2J\r\n\t\u007f\u2028' },
}

async function rowOf(callId: string): Promise<unknown> {
  const { rows } = await db.pool.query(
    `select a.user_id, a.service_name, a.request_id, a.details, a.provenance, trim_scale(a.credits_used) as credits, h.context
    from credit_usage_attribution a join tollgate.ledger_holds h using (call_id) where a.call_id = $1`,
    [callId],
  )
  expect(rows).toHaveLength(1)
  return rows[0]
}

/** One for all of these values: it must go on after each of them. */
let ledger: Ledger
const endings: (() => Promise<void>)[] = []
beforeAll(async () => {
  ;({ ledger } = await openLedger({ databaseUrl: db.url, onFinish: (end) => void endings.unshift(end) }))
})
afterAll(async () => {
  for (const end of endings) await end()
})

describe.each(Object.entries(hostile))('%s', (_, { text, ...as }) => {
  const { service = text, request = text, value = text, key = text } = as

  test('A value is stored as far as it can be, and touches no neighbour in its batch.', async () => {
    const org = await seed()
    const strange = holdRequest(org, { serviceName: text, requestId: text, context: { [text]: [text] } })
    const calls = [holdRequest(org), strange, holdRequest(org), holdRequest(org)]
    const refused = [holdRequest(org, { userId: `${text}?` }), holdRequest(org, { userId: text })]
    const answers = await Promise.allSettled([...calls, ...refused].map((call) => ledger.hold(call)))
    expect(answers.map(({ status }) => status)).toEqual([...calls.map(() => 'fulfilled'), 'rejected', 'rejected'])
    for (const answer of answers.slice(4)) {
      expect(answer).toMatchObject({ reason: { status: 403, code: 'no_allocation' } })
    }
    expect(await transactionsOf(org)).toBe(1)

    await Promise.all(
      calls.map((call) =>
        ledger.settle(
          settlementOf(
            call,
            3_000_000n,
            call === strange ? { details: { [text]: text, list: [{ [text]: text }] } } : {},
          ),
        ),
      ),
    )
    expect(await ledger.drain(20_000)).toBe(true)
    const row = { user_id: 'alice', provenance: 'provider_usage', credits: '3' }
    expect(await rowOf(strange.callId)).toEqual({
      ...row,
      service_name: service,
      request_id: request,
      details: { [key]: value, list: [{ [key]: value }] },
      context: { [key]: [value] },
    })
    const alone = { ...strange, callId: randomUUID() }
    await ledger.hold(alone)
    await ledger.settle(settlementOf(alone, 3_000_000n, { details: { [text]: text, list: [{ [text]: text }] } }))
    expect(await ledger.drain(20_000)).toBe(true)
    expect(await rowOf(alone.callId)).toEqual(await rowOf(strange.callId))
    for (const call of calls.filter((each) => each !== strange)) {
      expect(await rowOf(call.callId)).toEqual({
        ...row,
        service_name: 'gpt-5',
        request_id: null,
        details: null,
        context: null,
      })
    }
  })

  test('A value as the id of a key is counted as far as it can be stored.', async () => {
    const org = await seed()
    const strange = holdRequest(org, { keyId: `${org.id} ${text}` })
    await Promise.all([holdRequest(org), strange, holdRequest(org)].map((call) => ledger.hold(call)))
    expect(await ledger.settle(settlementOf(strange, 3_000_000n))).toMatchObject({ keySpend: 3_000_000n })
    const { rows } = await db.pool.query("select used from tollgate.ledger_limits where kind = 'key' and id = $1", [
      `${org.id} ${request}`.slice(0, 255),
    ])
    expect(rows).toEqual([{ used: '3.000000' }])
    expect((await balances(db.pool, org.id)).pool.held).toBe('20')
  })
})

/** How many transactions took the holds of an organization. */
async function transactionsOf({ id }: Org): Promise<number | undefined> {
  const { rows } = await db.pool.query<{ transactions: number }>(
    'select count(distinct xmin::text)::int as transactions from tollgate.ledger_holds where org_id = $1',
    [id],
  )
  return rows[0]?.transactions
}

describe('an amount beyond every column', () => {
  const enormous = 10n ** 30n

  test('An amount beyond every column asked for as a hold is refused alone: for want of money, or because it can not be stored.', async () => {
    const org = await seed()
    const unlimited = await seed()
    await db.pool.query(
      'update organization_credit_pools set allow_overage = true, overage_limit = null where org_id = $1',
      [unlimited.id],
    )
    const { ledger, troubles } = await openLedger({ databaseUrl: db.url, onFinish: onTestFinished })
    const unstorable = holdRequest(unlimited, { output: enormous })
    const calls = [
      holdRequest(org),
      holdRequest(org, { output: enormous }),
      unstorable,
      holdRequest(unlimited),
      holdRequest(org, { output: enormous, least: 0n }),
    ]
    const answers = await Promise.allSettled(calls.map((call) => ledger.hold(call)))
    expect(answers).toMatchObject([
      { status: 'fulfilled', value: { held: 10_000_000n } },
      {
        status: 'rejected',
        reason: { code: 'insufficient_credits', fields: { required: `1${'0'.repeat(24)}`, available: '990' } },
      },
      { status: 'rejected', reason: { status: 503, code: 'ledger_unavailable' } },
      { status: 'fulfilled', value: { held: 10_000_000n } },
      // What there is, where less than wanted is worth having.
      { status: 'fulfilled', value: { held: 990_000_000n } },
    ])
    expect(troubles.filter(({ what }) => what === 'hold')).toMatchObject([{ callId: unstorable.callId }])
    // By itself, too.
    await expect(ledger.hold(holdRequest(unlimited, { output: enormous }))).rejects.toMatchObject({ status: 503 })
    expect((await balances(db.pool, unlimited.id)).pool.held).toBe('10')
  })

  test('An amount beyond every column settled stays pending alone, is alarmed and kept.', async () => {
    const org = await seed()
    const { ledger, troubles } = await openLedger({ databaseUrl: db.url, onFinish: onTestFinished })
    const calls = Array.from({ length: 4 }, () => holdRequest(org)) as [
      HoldRequest,
      HoldRequest,
      HoldRequest,
      HoldRequest,
    ]
    await Promise.all(calls.map((call) => ledger.hold(call)))
    const answers = await Promise.all([
      ledger.settle(settlementOf(calls[0], 3_000_000n)),
      ledger.settle(settlementOf(calls[1], enormous)),
      ledger.settle(settlementOf(calls[2], 4_000_000n, { provenance: '"},{' as Provenance })),
      ledger.settle(settlementOf(calls[3], 5_000_000n)),
    ])
    expect(answers[1]).toEqual({ state: 'pending' })
    expect(answers[2]).toEqual({ state: 'pending' })
    expect(await ledger.drain(0)).toBe(false)
    expect(new Set(troubles.filter(({ what }) => what === 'settle').map(({ callId }) => callId))).toEqual(
      new Set([calls[1].callId, calls[2].callId]),
    )
    expect((await balances(db.pool, org.id)).users.alice).toEqual({ allocated: '1000', used: '8', held: '20' })
  })
})

describe('a value that can not be written at all', () => {
  const nested = JSON.parse('['.repeat(20_000) + ']'.repeat(20_000))

  test('A value that can not be written at all is refused alone, and its lane goes on.', async () => {
    const org = await seed()
    const { ledger } = await openLedger({ databaseUrl: db.url, onFinish: onTestFinished })
    const calls = [holdRequest(org), holdRequest(org, { context: nested }), holdRequest(org)]
    const answers = await Promise.allSettled(calls.map((call) => ledger.hold(call)))
    expect([answers[0]?.status, answers[2]?.status]).toEqual(['fulfilled', 'fulfilled'])
    expect(await ledger.hold(holdRequest(org))).toMatchObject({ held: 10_000_000n })
  })
})
