/** What changes a price: the power level and the organization's plan. Neither is the provider's business. */
import { expect, test } from 'vitest'
import { expectBooksMatch, rowOfCall } from '../support/call-books.ts'
import { useProduct } from '../support/product.ts'
import { postChat } from '../support/tollgate.ts'

const product = useProduct()
const MESSAGES = [{ role: 'user', content: 'Say hello' }]

test.each([
  // The provider takes 0.004650. 50 % on top and half of it would be 0.003488: below cost, so it is the cost.
  { header: 'eco', body: undefined, level: 'eco', charge: '0.004650' },
  { header: 'precision', body: undefined, level: 'precision', charge: '0.013950' },
  { header: 'PRECISION', body: undefined, level: 'precision', charge: '0.013950' },
  { header: undefined, body: 'precision', level: 'precision', charge: '0.013950' },
  { header: 'balanced', body: 'precision', level: 'balanced', charge: '0.006975' },
  { header: 'eco', body: 'precision', level: 'eco', charge: '0.004650' },
  { header: 'ultra', body: undefined, level: 'balanced', charge: '0.006975' },
  { header: undefined, body: 7, level: 'balanced', charge: '0.006975' },
  { header: undefined, body: undefined, level: 'balanced', charge: '0.006975' },
])('Power level: header $header, body $body is $level at $charge', async ({ header, body, level, charge }) => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const answer = await postChat(
    tollgate,
    acme.keys.alice,
    { model: 'gpt-4o-mini', messages: MESSAGES, ...(body === undefined ? {} : { power_level: body }) },
    header === undefined ? {} : { headers: { 'X-Power-Level': header } },
  )
  expect(answer.status).toBe(200)
  expect(answer.headers.get('x-credits-used')).toBe(charge)
  const row = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
  expect(row).toMatchObject({ credits_used: charge, api_cost: '0.000004650', details: { power_level: level } })
  expect(upstream.requests.at(-1)?.json).toEqual({ model: 'gpt-4o-mini', messages: MESSAGES })
  await expectBooksMatch(db.pool, upstream.tally)
})

test('Members that only Ops-Center uses are kept back; every other byte goes upstream.', async () => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const body =
    '{"power_level":"eco", "model":"gpt-4o-mini" ,"task_type":"chat","messages":[{"role":"user","content":"x"}],"privacy_required":true,"top_p":1.0}'
  await postChat(tollgate, acme.keys.alice, body)
  const sent = upstream.requests.at(-1)?.body.toString() ?? ''
  expect(JSON.parse(sent)).toEqual({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'x' }], top_p: 1 })
  expect(sent).toContain('"top_p":1.0')
})

test.each([
  { plan: 'platform', percent: 50, charge: '0.006975', markup: '0.000002325' },
  { plan: 'hybrid', percent: 50, charge: '0.006975', markup: '0.000002325' },
] as const)('The plan $plan adds $percent % to the cost.', async ({ plan, percent, charge, markup }) => {
  const { db, tollgate } = product
  const acme = await db.seedOrganization({ plan, credits: 1_000, users: { alice: 500 } })
  const answer = await postChat(tollgate, acme.keys.alice, { model: 'gpt-4o-mini', messages: MESSAGES })
  expect(answer.headers.get('x-credits-used')).toBe(charge)
  expect(await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))).toMatchObject({
    credits_used: charge,
    api_cost: '0.000004650',
    markup_applied: markup,
    details: { markup_percent: percent },
  })
})
