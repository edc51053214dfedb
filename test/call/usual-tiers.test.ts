/** A project at the provider may be set to a dearer tier than the list's: what its answers tell is in the holds that follow. */
import { expect, test } from 'vitest'
import { createUsualTiers } from '../../src/call/usual-tiers.ts'
import { useProduct } from '../support/product.ts'
import { modelOn, postChat } from '../support/tollgate.ts'
import { chatAnswer, jsonAnswer } from '../support/upstream-answers.ts'

const product = useProduct((url) => ({
  models: [
    modelOn(url, 'project', { model: 'openai/gpt-4o-mini' }),
    modelOn(url, 'other', { model: 'openai/gpt-4o-mini' }),
  ],
}))

function answerIn(tier: string) {
  const answer = JSON.parse(String(chatAnswer({ model: 'gpt-4o-mini' }).frames[0])) as object
  return jsonAnswer({ ...answer, service_tier: tier })
}

async function heldFor(key: string, body: object): Promise<string> {
  const { db, tollgate } = product
  const sent = { model: 'project', max_tokens: 100, messages: [{ role: 'user', content: 'Go on' }], ...body }
  const answer = await postChat(tollgate, key, sent)
  expect(answer.status).toBe(200)
  const { rows } = await db.pool.query(
    "select details ->> 'held' as held from public.credit_usage_attribution where call_id = $1",
    [answer.headers.get('x-litellm-call-id')],
  )
  return rows[0].held
}

test('Once a call that asked for no tier was served in a dearer one, the next is held at it.', async () => {
  const { db, upstream } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  upstream.respond(() => answerIn('priority'))
  const list = await heldFor(acme.keys.alice, {})
  const doubled = (Number(list) * 2).toString()
  expect(await heldFor(acme.keys.alice, {})).toBe(doubled)
  expect(await heldFor(acme.keys.alice, { service_tier: 'auto' })).toBe(doubled)
  // Whoever names the list's tier is not served in another one; and another deployment has another key.
  expect(await heldFor(acme.keys.alice, { service_tier: 'default' })).toBe(list)
  expect(await heldFor(acme.keys.alice, { model: 'other' })).toBe(list)
})

test('A tier that was asked for tells nothing of calls that ask for none.', async () => {
  const { db, upstream } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  upstream.respond(() => answerIn('default'))
  const list = await heldFor(acme.keys.alice, { model: 'gpt-4o-mini' })
  upstream.respond(() => answerIn('priority'))
  await heldFor(acme.keys.alice, { model: 'gpt-4o-mini', service_tier: 'priority' })
  expect(await heldFor(acme.keys.alice, { model: 'gpt-4o-mini' })).toBe(list)
})

test('A usual tier is remembered for an hour after it was seen, and never holds less than the list price.', () => {
  let now = 0
  const tiers = createUsualTiers(() => now)
  tiers.learn('flex', 500_000n)
  tiers.learn('priority', 2_000_000n)
  expect([tiers.of('flex'), tiers.of('priority'), tiers.of('unknown')]).toEqual([1_000_000n, 2_000_000n, 1_000_000n])
  now = 3_600_000
  expect(tiers.of('priority')).toBe(1_000_000n)
})
