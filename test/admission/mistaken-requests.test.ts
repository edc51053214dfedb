/** A caller whose management requests are refused again and again is not looked at again within the second, and disturbs nobody. */
import { expect, test } from 'vitest'
import { createMistakenRequests } from '../../src/admission/mistaken-requests.ts'
import { TollgateError } from '../../src/http/errors.ts'
import type { Caller } from '../../src/identity/caller.ts'
import { growth, scrape } from '../observe/samples.ts'
import { useProduct } from '../support/product.ts'

const product = useProduct()

const nonsense = JSON.stringify({ name: Array(20_000).fill(1) })

const create = (key: string) =>
  fetch(`${product.tollgate.url}/api/v1/account/uc-api-keys`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: nonsense,
  })

test('A caller who sends large invalid bodies gets 429 within the second, and other callers are served.', async () => {
  const { keys } = await product.db.seedOrganization({ credits: 10, users: { careless: 5, neighbour: 5 } })
  const before = await scrape(product.tollgate)
  const statuses: number[] = []
  let refusal: Response | undefined
  // One after the other, as long as it takes: four within a second are too many.
  while (refusal === undefined && statuses.length < 1_000) {
    const answer = await create(keys.careless)
    statuses.push(answer.status)
    if (answer.status === 429) refusal = answer
    else await answer.body?.cancel()
  }
  expect(statuses.slice(0, 3)).toEqual([400, 400, 400])
  expect(refusal!.headers.get('retry-after')).toBe('1')
  expect(await refusal!.json()).toMatchObject({ error: { code: 'too_many_mistakes', type: 'rate_limit_error' } })
  expect((await create(keys.neighbour)).status).toBe(400)
  const { 'tollgate_refused_total{limit="mistaken_requests"}': counted } = growth(
    before,
    await scrape(product.tollgate),
    'tollgate_refused_total',
  )
  expect(counted).toBe(1)
})

test('Mistaken requests are counted by caller, route and second; refusals by a limit and our own faults do not count.', () => {
  let now = 0
  const mistakes = createMistakenRequests(() => now)
  const [alice, bob] = ['alice', 'bob'].map((userId) => ({ organizationId: 'o', userId, keyId: null }) as Caller) as [
    Caller,
    Caller,
  ]
  const passes = (caller: Caller) => {
    try {
      mistakes.refuse(caller, 'get /x')
      return true
    } catch (error) {
      return (error as TollgateError).code
    }
  }
  const count = (status: number, times: number, bytes = 0) => {
    for (let at = 0; at < times; at += 1) mistakes.count(alice, 'get /x', bytes, new TollgateError(status, 'x', 'No.'))
  }
  count(429, 900)
  count(503, 900)
  mistakes.count(alice, 'get /x', 1_000_000, new Error('ours'))
  count(422, 99)
  // As much as 399 small ones, and the request itself.
  count(422, 1, 399 * 256)
  expect(passes(alice)).toBe(true)
  count(404, 1)
  expect(() => mistakes.refuse(alice, 'get /y')).not.toThrow()
  expect([passes(alice), passes(bob)]).toEqual(['too_many_mistakes', true])
  now = 1_000
  expect(passes(alice)).toBe(true)
})
