/** Ops-Center's own tests over HTTP, said again: its integration script, its security script, its tests of credits and the middleware. */
import { expect, test } from 'vitest'
import { redisInstalled } from '../support/redis.ts'
import { MASTER_KEY } from '../support/tollgate.ts'
import { chatAnswer } from '../support/upstream-answers.ts'
import { useOpsCenterProduct } from './ops-center-product.ts'

const product = useOpsCenterProduct()
const seed = () => product.db.seedOrganization({ credits: 10_000, users: { olga: 1_000, mark: 5 } })
const bearer = (key: string) => ({ authorization: `Bearer ${key}` })
const chat = { method: 'POST', path: '/llm/chat/completions' } as const
const MESSAGES = [{ role: 'user', content: 'Hi' }]
const older = test.skipIf(!redisInstalled())

older.each(['', 'malformed', 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290Iiwicm9sZSI6ImFkbWluIn0.', "' or '1'='1"])(
  'A session cookie of %j is a 401.',
  async (token) => {
    const headers = { cookie: `session_token=${encodeURIComponent(token)}` }
    expect((await product.send({ path: '/org-billing/billing/user', headers })).status).toBe(401)
  },
)

older.each(["' OR '1'='1", '1; DROP TABLE organizations;--', '<script>alert(1)</script>', '../../etc/passwd', '%00'])(
  'The text %j where an id belongs is a 403 or a 404, and does not come back as a page or an error of the database.',
  async (text) => {
    const { keys } = await seed()
    for (const path of ['credits', 'subscriptions', 'billing/org']) {
      const sent = { path: `/org-billing/${path}/${encodeURIComponent(text)}` }
      const [own, operator] = [
        await product.send({ ...sent, headers: bearer(keys.mark) }),
        await product.send({ ...sent, headers: bearer(MASTER_KEY) }),
      ]
      expect([path, own.status, operator.status]).toEqual([path, 403, 404])
      for (const answer of [own, operator]) {
        expect(answer.headers.get('content-type')).toMatch(/^application\/json/)
        expect(answer.text).not.toMatch(/<script|syntax|relation|\bat .*\.ts/)
      }
    }
  },
)

older('An admin of one organization reads and changes nothing of another.', async () => {
  const [mine, other] = [await seed(), await seed()]
  const headers = bearer(mine.keys.olga)
  for (const path of ['credits/ID', 'credits/ID/usage', 'credits/ID/allocations', 'billing/org/ID', 'subscriptions/ID'])
    expect([
      path,
      (await product.send({ path: `/org-billing/${path.replace('ID', other.id)}`, headers })).status,
    ]).toEqual([path, 403])
  const taking = { user_id: 'mark', allocated_credits: 1 }
  const path = `/org-billing/credits/${other.id}/allocate`
  expect((await product.send({ method: 'POST', path, headers, body: taking })).status).toBe(403)
})

older('A call takes credits and says so; one that the user cannot pay is a 402 and takes none.', async () => {
  const { id, keys } = await seed()
  const left = async () =>
    (await product.send({ path: `/org-billing/allocations/${id}/mark`, headers: bearer(keys.mark) })).json
      .remaining_credits
  product.upstream.respond(
    chatAnswer({ model: 'exact', usage: { prompt_tokens: 5, completion_tokens: 100, total_tokens: 105 } }),
  )
  const body = { model: 'exact', messages: MESSAGES, user: 'mark', max_tokens: 100 }
  const answered = await product.send({ ...chat, headers: bearer(keys.mark), body })
  expect([
    answered.status,
    answered.headers.get('x-credits-used'),
    answered.headers.get('x-credits-remaining'),
  ]).toEqual([200, '3.000000', '2.000'])
  expect(await left()).toBe(2)
  const refused = await product.send({ ...chat, headers: bearer(keys.mark), body: { ...body, n: 4 } })
  expect(refused.status).toBe(402)
  expect(await left()).toBe(2)
})

older('Ten calls at once with credits for one: what is left is never below zero.', async () => {
  const { id, keys } = await seed()
  // One that keeps to the cap it is sent: what is left for a call may be less than was asked for.
  product.upstream.respond(({ json }) => {
    const completion_tokens = Number(json?.max_tokens ?? json?.max_completion_tokens)
    return chatAnswer({
      model: 'exact',
      usage: { prompt_tokens: 5, completion_tokens, total_tokens: 5 + completion_tokens },
    })
  })
  const body = { model: 'exact', messages: MESSAGES, max_tokens: 100, n: 1 }
  const answers = await Promise.all(
    Array.from({ length: 10 }, () => product.send({ ...chat, headers: bearer(keys.mark), body })),
  )
  const paid = answers.reduce((all, { headers }) => all + Number(headers.get('x-credits-used') ?? 0), 0)
  expect(answers.some(({ status }) => status === 200)).toBe(true)
  expect(answers.every(({ status }) => status === 200 || status === 402)).toBe(true)
  const pool = (await product.send({ path: `/org-billing/credits/${id}`, headers: bearer(keys.mark) })).json
  const list = (await product.send({ path: `/org-billing/allocations/${id}`, headers: bearer(keys.olga) })).json
    .allocations
  const sum = (name: string) => list.reduce((all: number, one: Record<string, number>) => all + (one[name] ?? 0), 0)
  expect([pool.allocated_credits, pool.used_credits]).toEqual([sum('allocated_credits'), sum('used_credits')])
  expect(sum('used_credits')).toBeCloseTo(paid, 6)
  expect(paid).toBeLessThanOrEqual(5)
})
