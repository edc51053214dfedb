/** A user without credits who asks again and again is not looked up again within the second, and disturbs nobody. */
import { expect, test } from 'vitest'
import { createRefusedCalls } from '../../src/admission/refused-calls.ts'
import { TollgateError } from '../../src/http/errors.ts'
import type { Caller } from '../../src/identity/caller.ts'
import { growth, scrape } from '../observe/samples.ts'
import { callerFor } from '../support/caller.ts'
import { useProduct } from '../support/product.ts'
import { postChat } from '../support/tollgate.ts'

const product = useProduct(() => ({ tollgate: { limits: { refused_calls_per_second: 3 } } }))

test('After three refusals in a second a user gets 429 whatever they ask, and other users are served.', async () => {
  const { keys } = await product.db.seedOrganization({ credits: 10, users: { broke: 0, rich: 10 } })
  const before = await scrape(product.tollgate)
  const ask = (key: string) =>
    postChat(product.tollgate, key, { model: 'gpt-4o', messages: [{ role: 'user', content: 'Hi' }] })
  const told = []
  // More than any second holds three of.
  for (let at = 0; at < 12; at += 1) told.push(await ask(keys.broke))
  expect(told.slice(0, 3).map(({ status }) => status)).toEqual([402, 402, 402])
  const refused = told.find(({ status }) => status === 429)!
  expect(refused.json()).toMatchObject({ error: { code: 'too_many_refused_calls' } })
  expect(refused.headers.get('retry-after')).toBe('1')
  expect((await ask(keys.rich)).status).toBe(200)
  const { 'tollgate_refused_total{limit="refused_calls"}': counted } = growth(
    before,
    await scrape(product.tollgate),
    'tollgate_refused_total',
  )
  expect(counted).toBe(told.filter(({ status }) => status === 429).length)
})

test('Refusals are counted by user and second, and only those that asking again would not change.', () => {
  let now = 0
  const refused = createRefusedCalls(2, () => now)
  const [alice, bob] = ['alice', 'bob'].map((userId) => callerFor({ organizationId: 'o', userId })) as [Caller, Caller]
  const passes = (caller: Caller) => {
    try {
      refused.refuse(caller)
      return true
    } catch (error) {
      return (error as TollgateError).code
    }
  }
  const count = (caller: Caller, status: number, code: string) =>
    refused.count(caller, new TollgateError(status, code, 'No.'))
  for (let at = 0; at < 5; at += 1) count(alice, 402, 'credits_in_flight')
  count(alice, 503, 'ledger_unavailable')
  count(alice, 402, 'insufficient_credits')
  expect(passes(alice)).toBe(true)
  count(alice, 429, 'budget_exceeded')
  expect([passes(alice), passes(bob)]).toEqual(['too_many_refused_calls', true])
  now = 999
  expect(passes(alice)).toBe('too_many_refused_calls')
  now = 1_000
  expect(passes(alice)).toBe(true)
  count(alice, 403, 'no_allocation')
  expect(passes(alice)).toBe(true)
  count(alice, 403, 'no_allocation')
  expect(passes(alice)).toBe('too_many_refused_calls')
})
