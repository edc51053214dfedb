/** `tollgate disputes`: what a provider stated beyond what is possible is listed, and settled once. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { balanceOf } from '../support/call-books.ts'
import { useProduct } from '../support/product.ts'
import { postChat, ROOT_KEY } from '../support/tollgate.ts'
import { chatAnswer } from '../support/upstream-answers.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const product = useProduct()

function tollgate(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = { PATH: process.env.PATH ?? '', DATABASE_URL: product.db.url, TOLLGATE_ROOT_KEY: ROOT_KEY }
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...args], { env }, (error, stdout, stderr) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
    )
  })
}

/** Held and booked at 3 credits, stated at 1 000 tokens: 30 credits, $0.02 of the operator's. */
async function disputed(): Promise<{ orgId: string; callId: string }> {
  const { db, upstream, tollgate: proxy } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const usage = { prompt_tokens: 11, completion_tokens: 1_000, total_tokens: 1_011 }
  upstream.respond(chatAnswer({ model: 'exact', usage }))
  const messages = [{ role: 'user', content: 'Say hello' }]
  const answer = await postChat(proxy, acme.keys.alice, { model: 'exact', max_tokens: 100, messages })
  expect(answer.headers.get('x-cost-provenance')).toBe('disputed')
  return { orgId: acme.id, callId: String(answer.headers.get('x-litellm-call-id')) }
}

test('disputes lists what was charged and what was stated.', async () => {
  const { callId } = await disputed()
  const list = await tollgate('disputes', '--json')
  expect(list.code).toBe(0)
  const found = (JSON.parse(list.stdout) as { call_id: string }[]).find((one) => one.call_id === callId)
  expect(found).toMatchObject({
    user_id: 'alice',
    model: 'exact',
    charged: '3.000000',
    stated_api_cost: '0.020000000',
  })
  const text = (await tollgate('disputes')).stdout
  expect(text).toContain(callId)
  expect(text).toContain('charged 3.000000 credits, the provider stated $0.020000000')
})

test.for([
  { terms: ['--as-stated'], charged: '30.000000' },
  { terms: ['--as-charged'], charged: '3.000000' },
  { terms: ['--credits', '1.5'], charged: '1.500000' },
])('disputes settle settles one at $terms, once.', async ({ terms, charged }) => {
  const { orgId, callId } = await disputed()
  const first = await tollgate('disputes', 'settle', '--call', callId, ...terms)
  expect(first.code).toBe(0)
  expect(JSON.parse(first.stdout)).toEqual({ call_id: callId, outcome: 'settled', charged })
  const again = await tollgate('disputes', 'settle', '--call', callId, '--credits', '99')
  expect(again.code).toBe(1)
  expect(JSON.parse(again.stdout)).toEqual({ call_id: callId, outcome: 'already_settled', charged })
  expect(Number((await balanceOf(product.db.pool, orgId, 'alice')).remaining)).toBe(500 - Number(charged))
  expect((await tollgate('disputes', '--json')).stdout).not.toContain(callId)
})

test('disputes settle settles no call that is not disputed, and none that does not exist.', async () => {
  const { db, upstream, tollgate: proxy } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  upstream.respond(chatAnswer())
  const messages = [{ role: 'user', content: 'Say hello' }]
  const answer = await postChat(proxy, acme.keys.alice, { model: 'gpt-4o-mini', messages })
  const settle = async (call: string) =>
    JSON.parse((await tollgate('disputes', 'settle', '--call', call, '--credits', '1')).stdout)
  expect(await settle(String(answer.headers.get('x-litellm-call-id')))).toMatchObject({ outcome: 'not_disputed' })
  expect(await settle('00000000-0000-4000-8000-000000000000')).toMatchObject({ outcome: 'unknown', charged: null })
})

test.each([
  { args: [], says: '--call is missing' },
  { args: ['--call', 'x', '--as-stated'], says: '--call must be the id of a call' },
  { args: ['--call', '00000000-0000-4000-8000-000000000000'], says: 'State the cost of the call with exactly one of' },
  {
    args: ['--call', '00000000-0000-4000-8000-000000000000', '--as-stated', '--credits', '1'],
    says: 'State the cost of the call with exactly one of',
  },
])('disputes settle refuses a command that leaves something open: $args', async ({ args, says }) => {
  const ran = await tollgate('disputes', 'settle', ...args)
  expect(ran.code).toBe(2)
  expect(ran.stderr).toContain(says)
})
