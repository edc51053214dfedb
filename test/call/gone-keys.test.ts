/** A key that is gone stops what runs: every kind of stream ends with an error that names the reason, and is settled. */
import { describe, expect, test } from 'vitest'
import { goodKey, keyless, useKeysProduct } from '../api/keys-product.ts'
import { balanceOf, rowOfCall } from '../support/call-books.ts'
import type { SeededOrganization } from '../support/database.ts'
import { openCall } from '../support/open-call.ts'
import { MASTER_KEY, modelOn, postChat } from '../support/tollgate.ts'
import { chat, chatAnswer, chatStream, rawStream, sse } from '../support/upstream-answers.ts'

const product = useKeysProduct(
  (url) => ({
    models: [
      keyless('own', 'openai/exact', url, { input_cost_per_token: 0, output_cost_per_token: 0.00002 }),
      modelOn(url, 'groq-exact', {
        model: 'groq/llama-3.3-70b-versatile',
        input_cost_per_token: 0,
        output_cost_per_token: 0.00002,
      }),
      modelOn(url, 'free', { model: 'openai/exact', input_cost_per_token: 0, output_cost_per_token: 0 }),
    ],
    litellm_settings: { num_retries: 2 },
  }),
  { OPENAI_API_KEY: 'sk-proj-of-the-platform' },
)

const ASKED = { messages: [{ role: 'user', content: 'Go on' }], stream: true }
const never = new Promise<never>(() => {})
/** Text, and then nothing more for ever. */
const endless = (text: readonly string[]) =>
  rawStream(
    text.map((content) => sse({ model: 'exact', choices: [{ index: 0, delta: { content } }] })),
    { gate: (i) => (i === text.length ? never : undefined) },
  )

type Org = SeededOrganization<'alice'>
const GONE = {
  key_revoked: (org: Org) =>
    product.db.pool.query('update tollgate.api_keys set is_active = false where id = $1', [org.keyIds.alice]),
  expired_api_key: (org: Org) =>
    product.db.pool.query('update tollgate.api_keys set expires_at = tollgate.tollgate_now() where id = $1', [
      org.keyIds.alice,
    ]),
  organization_suspended: (org: Org) =>
    product.db.pool.query(`update organizations set status = 'suspended' where id = $1`, [org.id]),
  no_allocation: (org: Org) =>
    product.db.pool.query('update user_credit_allocations set is_active = false where org_id = $1', [org.id]),
}
type Gone = keyof typeof GONE

async function organization(plan: 'platform' | 'byok' = 'platform'): Promise<Org> {
  return product.db.seedOrganization({ plan, credits: 1_000, users: { alice: 500 } })
}

/** The last frame of a stream, an error. */
function errorOf(body: string): { code: string; message: string } {
  const last = body.trimEnd().split('\n\n').at(-1) ?? ''
  return JSON.parse(last.slice('data: '.length)).error
}

describe('a stream ends, and costs what it delivered,', () => {
  test.for(Object.keys(GONE) as Gone[])(
    'A stream ends, and costs what it delivered, when its payer is gone: %s.',
    async (why) => {
      const { db, upstream, tollgate } = product
      const org = await organization()
      upstream.respond(endless([' one', ' two']))
      const before = upstream.requests.length
      const call = openCall(tollgate, org.keys.alice, { ...ASKED, model: 'exact', max_tokens: 1_000 })
      await call.frames(2)
      await GONE[why](org)
      const { body, complete } = await call.closed
      expect(complete).toBe(true)
      expect(errorOf(body).code).toBe(why)
      expect(body).not.toContain('[DONE]')
      expect(body).not.toContain('finish_reason":"')
      await (await upstream.received(before + 1)).aborted
      expect(upstream.requests).toHaveLength(before + 1)
      const row = await rowOfCall(db.pool, String((await call.head).headers['x-litellm-call-id']))
      expect(row).toMatchObject({ credits_used: '0.060000', outcome: 'stopped', provenance: 'estimated' })
      expect(row.details).toMatchObject({ error: why })
    },
  )

  test.for([
    { name: 'without a cap', model: 'exact', charged: '0.060000' },
    { name: 'with hidden reasoning', model: 'o4-mini', charged: null },
    { name: 'of a free model', model: 'free', charged: '0.000000' },
  ])(
    'A stream of every kind ends when its payer is gone, and costs what it delivered: $name',
    async ({ model, charged }) => {
      const { db, upstream, tollgate } = product
      const org = await organization()
      upstream.respond(endless([' one', ' two']))
      const call = openCall(tollgate, org.keys.alice, { ...ASKED, model })
      await call.frames(2)
      await GONE.organization_suspended(org)
      const { body } = await call.closed
      expect(errorOf(body).code).toBe('organization_suspended')
      const row = await rowOfCall(db.pool, String((await call.head).headers['x-litellm-call-id']))
      expect(row).toMatchObject({ outcome: 'stopped', ...(charged === null ? {} : { credits_used: charged }) })
    },
  )

  test('A stream by the caller’s own key ends when its payer is gone, and costs what it delivered.', async () => {
    const { db, upstream, tollgate } = product
    const org = await organization('byok')
    const stored = { provider: 'openai', api_key: goodKey('openai') }
    expect((await product.send('POST', '/api/v1/llm/byok/keys', stored, org.keys.alice)).status).toBe(200)
    upstream.respond(endless([' one', ' two']))
    const call = openCall(tollgate, org.keys.alice, { ...ASKED, model: 'own' })
    await call.frames(2)
    await GONE.key_revoked(org)
    expect(errorOf((await call.closed).body).code).toBe('key_revoked')
    const row = await rowOfCall(db.pool, String((await call.head).headers['x-litellm-call-id']))
    expect(row).toMatchObject({ outcome: 'stopped', credits_used: '0.000000' })
  })

  test('A stream whose payer is gone before its provider said anything ends: the error has its status, and the input is paid.', async () => {
    const { db, upstream, tollgate } = product
    const org = await organization()
    upstream.respond('silence')
    const before = upstream.requests.length
    const answer = postChat(tollgate, org.keys.alice, { ...ASKED, model: 'gpt-4o-mini' })
    const request = await upstream.received(before + 1)
    await GONE.key_revoked(org)
    const { status, headers, json } = await answer
    expect(status).toBe(401)
    expect(json()).toMatchObject({ error: { code: 'key_revoked' } })
    await request.aborted
    expect(upstream.requests).toHaveLength(before + 1)
    const row = await rowOfCall(db.pool, headers.get('x-litellm-call-id'))
    expect(row).toMatchObject({ outcome: 'stopped', provenance: 'estimated' })
    expect(Number(row.credits_used)).toBeGreaterThan(0)
    expect(headers.get('x-credits-used')).toBe(row.credits_used)
  })

  test('A stream that its provider bills to the end ends for the caller at once when its payer is gone, and the rest is read on and paid.', async () => {
    const { db, upstream, tollgate } = product
    const org = await organization()
    const later = Promise.withResolvers<void>()
    const usage = { prompt_tokens: 8, completion_tokens: 50 }
    const gate = (i: number) => (i === 2 ? later.promise : undefined)
    upstream.respond(chatStream({ text: [' one', ' two'], usage, gate }))
    const call = openCall(tollgate, org.keys.alice, { ...ASKED, model: 'groq-exact', max_tokens: 100 })
    await call.frames(1)
    await GONE.key_revoked(org)
    const { body } = await call.closed
    expect(errorOf(body).code).toBe('key_revoked')
    later.resolve()
    const callId = String((await call.head).headers['x-litellm-call-id'])
    await expect
      .poll(async () => (await balanceOf(db.pool, org.id, 'alice')).held, { timeout: 10_000 })
      .toBe('0.000000')
    expect(await rowOfCall(db.pool, callId)).toMatchObject({ credits_used: '1.500000', outcome: 'stopped' })
  })
})

describe('runs to its end', () => {
  test('A JSON call of a key that is revoked runs to its end.', async () => {
    const { db, upstream, tollgate } = product
    const org = await organization()
    const later = Promise.withResolvers<void>()
    upstream.respond(chatAnswer({ model: 'exact', beforeHead: later.promise }))
    const before = upstream.requests.length
    const answer = postChat(tollgate, org.keys.alice, { ...ASKED, model: 'exact', stream: false })
    await upstream.received(before + 1)
    await GONE.key_revoked(org)
    later.resolve()
    const { status, headers } = await answer
    expect(status).toBe(200)
    expect(await rowOfCall(db.pool, headers.get('x-litellm-call-id'))).toMatchObject({ outcome: 'answered' })
  })

  test('The stream of another key, and of the master key, run to their end.', async () => {
    const { upstream, tollgate } = product
    const org = await organization()
    const other = await organization()
    upstream.respond(endless([' one']))
    const stopped = openCall(tollgate, org.keys.alice, { ...ASKED, model: 'exact' })
    await stopped.frames(1)
    const later = Promise.withResolvers<void>()
    upstream.respond(chatStream({ model: 'exact', gate: (i) => (i === 2 ? later.promise : undefined) }))
    const runs = openCall(tollgate, other.keys.alice, { ...ASKED, model: 'exact' })
    const master = openCall(tollgate, MASTER_KEY, { ...ASKED, model: 'exact' })
    await Promise.all([runs.frames(1), master.frames(1)])
    await GONE.organization_suspended(org)
    await stopped.closed
    later.resolve()
    for (const call of [runs, master]) expect((await call.closed).body.endsWith('data: [DONE]\n\n')).toBe(true)
    upstream.respond(chat())
  })
})
