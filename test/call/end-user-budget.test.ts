/** `litellm_settings.max_end_user_budget`: what each end user may spend who has no budget of their own. */
import { expect, test } from 'vitest'
import { manage } from '../support/management.ts'
import { useProduct } from '../support/product.ts'
import { MASTER_KEY, postChat } from '../support/tollgate.ts'
import { chatAnswer } from '../support/upstream-answers.ts'

/** 6.5 credits, for two calls and a little. */
const product = useProduct(() => ({ litellm_settings: { max_end_user_budget: 0.0065 } }))

/** Input is free; 100 tokens are 3 credits for an organization, 2 for the master key. */
const CALL = { model: 'exact', max_tokens: 100, messages: [{ role: 'user', content: 'Go on' }] }
const answers = () =>
  product.upstream.respond(
    chatAnswer({ model: 'exact', usage: { prompt_tokens: 7, completion_tokens: 100, total_tokens: 107 } }),
  )

test('Each end user of each organization may spend the default budget in all, whatever they are called, and callers that name nobody more.', async () => {
  answers()
  const { db, tollgate } = product
  const [red, green] = await Promise.all(
    [0, 1].map(() => db.seedOrganization({ credits: 1_000, users: { alice: 500 } })),
  )
  const call = (org: typeof red, user?: string) =>
    postChat(tollgate, org?.keys.alice ?? '', user === undefined ? CALL : { ...CALL, user })
  for (const name of ['ann', 'a\u0000n', 'b'.repeat(300)]) {
    expect([(await call(red, name)).status, (await call(red, name)).status]).toEqual([200, 200])
    const third = await call(red, name)
    expect([third.status, third.json()]).toMatchObject([
      422,
      { error: { type: 'budget_exceeded', limit: 'customer', limit_amount: 6.5, required: '3' } },
    ])
    expect(third.headers.get('x-should-retry')).toBe('false')
    // Half a call still fits.
    expect((await postChat(tollgate, red?.keys.alice ?? '', { ...CALL, max_tokens: 16, user: name })).status).toBe(200)
  }
  expect((await call(red, 'ben')).status).toBe(200)
  expect((await call(green, 'ann')).status).toBe(200)
  expect((await call(red)).status).toBe(200)
})

test('A customer with a budget of their own has that, one without has the default.', async () => {
  answers()
  const post = (body: unknown) => manage(product.tollgate, 'POST /customer/new', body)
  expect((await post({ user_id: 'rich', max_budget: 1 })).status).toBe(200)
  expect((await post({ user_id: 'plain' })).status).toBe(200)
  const call = (user: string) => postChat(product.tollgate, MASTER_KEY, { ...CALL, user })
  const statuses = async (user: string) => [
    (await call(user)).status,
    (await call(user)).status,
    (await call(user)).status,
    (await call(user)).status,
  ]
  expect(await statuses('rich')).toEqual([200, 200, 200, 200])
  expect(await statuses('plain')).toEqual([200, 200, 200, 422])
})
