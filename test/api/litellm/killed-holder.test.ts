/** A process that dies with the whole budget of a key held blocks the key until others know it dead, and no longer. */
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { manage, newVirtualKey } from '../../support/management.ts'
import { useProduct } from '../../support/product.ts'
import { configFor, postChat, startTollgate, type Tollgate } from '../../support/tollgate.ts'
import { chatAnswer } from '../../support/upstream-answers.ts'

/** Dead after a second without a sign of life. What running calls hold is not waited for. */
const extra = {
  tollgate: { leases: { renew_seconds: 0.5, dead_after_seconds: 1 }, limits: { credit_wait_seconds: 0 } },
  litellm_settings: { num_retries: 0 },
}
const product = useProduct(() => extra)
let victim: Tollgate
beforeAll(async () => {
  victim = await startTollgate({ databaseUrl: product.db.url, config: configFor(product.upstream.url, extra) })
})
afterAll(() => victim.kill())

const CALL = { model: 'exact', max_tokens: 100, messages: [{ role: 'user', content: 'Count to a hundred' }] }

test('The budget that a killed process held is free once its holds are recovered, and another process makes the call.', async () => {
  const key = await newVirtualKey(product.tollgate, { max_budget: 0.002, budget_duration: '1d' })
  const usage = { prompt_tokens: 7, completion_tokens: 100, total_tokens: 107 }
  const never = Promise.withResolvers<void>()
  const arrived = product.upstream.tally.calls + 1
  product.upstream.respond(chatAnswer({ model: 'exact', usage, beforeHead: never.promise }))
  const lost = postChat(victim, key, CALL).catch(() => null)
  await vi.waitFor(() => expect(product.upstream.tally.calls).toBe(arrived), { timeout: 10_000, interval: 20 })
  expect((await postChat(product.tollgate, key, CALL)).status).toBe(429)
  victim.kill()
  expect(await lost).toBeNull()
  product.upstream.respond(chatAnswer({ model: 'exact', usage }))
  await vi.waitFor(async () => expect((await postChat(product.tollgate, key, CALL)).status).toBe(200), {
    timeout: 20_000,
    interval: 200,
  })
  never.resolve()
  expect((await manage(product.tollgate, `GET /key/info?key=${key}`)).value).toMatchObject({ info: { spend: 0.002 } })
  expect((await postChat(product.tollgate, key, CALL)).status).toBe(422)
})
