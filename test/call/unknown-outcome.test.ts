/** Calls that went out and whose end nobody knows: who pays for them, and what the operator may owe, on the row, in the report, in the metrics. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { rowOfCall } from '../support/call-books.ts'
import { useDatabase } from '../support/database.ts'
import { configFor, get, MASTER_KEY, modelOn, postChat, startTollgate, type Tollgate } from '../support/tollgate.ts'
import { type ScriptedUpstream, startUpstream } from '../support/upstream.ts'
import { chat, errorAnswer, rawStream, type Script } from '../support/upstream-answers.ts'

/** Dollars a token: 100 tokens of output cost 0.002, and 3 credits with 50 % on top. */
const PRICE = { input_cost_per_token: 0.0001, output_cost_per_token: 0.00002 }
/** The input is estimated at so many tokens. */
const TOKENS = 8
const body = (model: string, stream: boolean) => ({
  ...{ model, stream, max_tokens: 100 },
  messages: [{ role: 'user', content: 'Hi' }],
})

const db = useDatabase()
let upstream: ScriptedUpstream
let acme: Awaited<ReturnType<typeof db.seedOrganization<'alice'>>>

beforeAll(async () => {
  upstream = await startUpstream()
  acme = await db.seedOrganization({ credits: 10_000, users: { alice: 10_000 } })
})
afterAll(() => upstream.close())

function configWith(unknown_outcome: string): string {
  const answering = modelOn(upstream.url, 'second', { ...PRICE, model: 'openai/second' })
  const tried = [
    modelOn(upstream.url, 'pair', { ...PRICE, order: 1, timeout: 0.3 }),
    { ...answering, model_name: 'pair' },
  ]
  const gone = modelOn('http://127.0.0.1:9/v1', 'gone', PRICE)
  const slow = modelOn(upstream.url, 'slow', { ...PRICE, timeout: 0.3 })
  return configFor(upstream.url, {
    models: [slow, modelOn(upstream.url, 'steady', PRICE), ...tried, gone],
    router_settings: { num_retries: 1 },
    tollgate: { unknown_outcome },
  })
}

/** The slow one, and the first of the pair, do as they are told; the second of the pair answers. */
function respond(script: Script): void {
  const answer = chat({ usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 } })
  upstream.respond((request) => (request.json?.model === 'second' ? answer(request) : script))
}

describe.each([
  // Credits that are charged; dollars at risk.
  ['waive', { input: 0, output: 0 }, { input: 1, output: 0.002 }],
  ['input', { input: 1, output: 0 }, { input: 0, output: 0.002 }],
  ['hold', { input: 1, output: 3 }, { input: 0, output: 0 }],
] as const)('with unknown_outcome: %s', (policy, charged, risk) => {
  let tollgate: Tollgate

  beforeAll(async () => {
    tollgate = await startTollgate({ databaseUrl: db.url, config: configWith(policy) })
  })
  afterAll(() => tollgate.stop())

  test.each<[string, string, boolean, Script]>([
    ['A call that nobody answers in time', 'slow', false, 'silence'],
    ['A call whose connection is cut before anything came', 'steady', false, 'hangUp'],
    ['A stream that does not begin in time', 'slow', true, 'silence'],
    ['A stream that is cut after its head', 'steady', true, { ...rawStream(['']), cutAfter: 0 }],
  ])(`%s is charged as unknown_outcome: ${policy} says, and the rest is at risk.`, async (_, model, stream, script) => {
    respond(script)
    const answer = await postChat(tollgate, acme.keys.alice, body(model, stream))
    const credits = charged.input * TOKENS * 0.15 + charged.output
    const dollars = risk.input * TOKENS * 0.0001 + risk.output
    const row = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
    expect(answer.status).toBe(503)
    expect(Number(row.credits_used)).toBeCloseTo(credits, 6)
    expect(row.provenance).toBe(credits === 0 ? null : 'estimated')
    expect(row.details.at_risk).toEqual(dollars === 0 ? undefined : { openai: `${Number(dollars.toFixed(9))}` })
    expect(Number(answer.headers.get('x-credits-used') ?? 0)).toBeCloseTo(credits, 6)
    expect(answer.headers.get('x-should-retry')).toBe(credits === 0 ? null : 'false')
  })

  test.each<[string, string, Script]>([
    ['that the provider refused', 'steady', errorAnswer(500, { message: 'boom' })],
    ['that reached nobody', 'gone', 'silence'],
  ])(`A call %s costs nothing and risks nothing with unknown_outcome: ${policy}.`, async (_, model, script) => {
    respond(script)
    const answer = await postChat(tollgate, acme.keys.alice, body(model, false))
    const row = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
    expect([answer.status, Number(row.credits_used), row.details.at_risk]).toEqual([503, 0, undefined])
  })

  test(`A call that another deployment answered is charged at its usage with unknown_outcome: ${policy}, and the attempt before it is at risk.`, async () => {
    respond('silence')
    const answer = await postChat(tollgate, acme.keys.alice, body('pair', false))
    const row = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
    expect([answer.status, row.credits_used, row.provenance]).toEqual([200, '1.650000', 'provider_usage'])
    expect(row.details.at_risk).toEqual({ openai: `${Number((TOKENS * 0.0001 + 0.002).toFixed(9))}` })
  })

  test(`The report and the metrics sum up what is at risk with unknown_outcome: ${policy}.`, async () => {
    const day = new Date().toISOString().slice(0, 10)
    const { rows } = await db.pool.query(
      `select count(*)::int as calls, trim_scale(sum((details -> 'at_risk' ->> 'openai')::numeric))::text as dollars
      from credit_usage_attribution where details ? 'at_risk'`,
    )
    const report = await get(tollgate, MASTER_KEY, `/api/v1/admin/money-at-risk?from=${day}`)
    expect(report.json().risks).toEqual([
      {
        day,
        provider: 'openai',
        unknown_calls: rows[0].calls,
        unknown_dollars: rows[0].dollars,
        open_disputes: 0,
        disputed_dollars: '0',
      },
    ])
    const metrics = await (await fetch(`${tollgate.url}/metrics`)).text()
    const counted = /tollgate_at_risk_dollars_total\{provider="openai",reason="unknown"\} ([\d.e-]+)/.exec(metrics)?.[1]
    const each = 4 * (risk.input * TOKENS * 0.0001 + risk.output) + TOKENS * 0.0001 + 0.002
    expect(Number(counted)).toBeCloseTo(each, 9)
    expect((await get(tollgate, acme.keys.alice, '/api/v1/admin/money-at-risk')).status).toBe(403)
  })
})

test('A policy for calls whose end nobody knows that does not exist stops the start, with those that do.', async () => {
  const start = startTollgate({ databaseUrl: db.url, config: configWith('perhaps') })
  await expect(start).rejects.toThrow(/unknown_outcome: expected one of waive, input, hold/)
})
