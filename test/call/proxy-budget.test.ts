/** `litellm_settings.max_budget`: what all calls together may spend, whoever pays. */
import { expect, test } from 'vitest'
import { useProduct } from '../support/product.ts'
import { postChat } from '../support/tollgate.ts'
import { chatAnswer } from '../support/upstream-answers.ts'

/** 7.5 credits, for two calls and a half. */
const product = useProduct(() => ({ litellm_settings: { max_budget: 0.0075, budget_duration: '30d' } }))

/** Input is free; 100 tokens are 3 credits. */
const CALL = { model: 'exact', max_tokens: 100, messages: [{ role: 'user', content: 'Go on' }] }
const usage = (tokens: number) => ({ prompt_tokens: 7, completion_tokens: tokens, total_tokens: tokens + 7 })

test('Calls of all organizations share the budget of the proxy: what is left caps the last one, and then they are refused by its name.', async () => {
  const { db, upstream, tollgate } = product
  const organizations = await Promise.all(
    [0, 1, 2].map(() => db.seedOrganization({ credits: 1_000, users: { alice: 500 } })),
  )
  const [red, green, blue] = organizations.map(({ keys }) => keys.alice)
  upstream.respond(({ json }) => chatAnswer({ model: 'exact', usage: usage(Number(json?.max_tokens)) }))
  const first = await postChat(tollgate, red ?? '', CALL)
  const second = await postChat(tollgate, green ?? '', CALL)
  expect([first, second].map(({ status, headers }) => [status, headers.get('x-credits-used')])).toEqual([
    [200, '3.000000'],
    [200, '3.000000'],
  ])
  const before = upstream.requests.length
  const third = await postChat(tollgate, blue ?? '', CALL)
  expect(third.status).not.toBe(200)
  expect(third.json()).toMatchObject({
    error: { code: 'budget_exceeded', limit: 'proxy', limit_id: 'proxy/month', limit_amount: 7.5, required: '3' },
  })
  expect(third.headers.get('x-should-retry')).toBe('false')
  expect(Number(third.headers.get('retry-after'))).toBeGreaterThan(60)
  expect(upstream.requests.length).toBe(before)
  // What is left covers half a call.
  const small = await postChat(tollgate, red ?? '', { ...CALL, max_tokens: 50 })
  expect([small.status, small.headers.get('x-credits-used')]).toEqual([200, '1.500000'])
  const { rows } = await db.pool.query(
    `select trim_scale(sum(l.used)) as used from tollgate.ledger_limits l where l.kind = 'proxy'
      and l.window_start = tollgate.ledger_window_start('month', tollgate.tollgate_now())`,
  )
  expect(rows).toEqual([{ used: '7.5' }])
})
