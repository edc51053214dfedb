/** What an operator does with organizations, members and keys, from the command line alone. */
import { expect, test, vi } from 'vitest'
import { useProduct } from '../support/product.ts'
import { runCommand } from '../support/run-tollgate.ts'
import { postChat } from '../support/tollgate.ts'
import { chatAnswer } from '../support/upstream-answers.ts'

// Commands that start one after the other.
vi.setConfig({ testTimeout: 120_000 })
const product = useProduct()
const run = (...args: string[]) => runCommand({ args, databaseUrl: product.db.url })

async function json(...args: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await run(...args)
  expect([code, stderr]).toEqual([0, ''])
  return JSON.parse(stdout)
}

const call = (key: string) => {
  product.upstream.respond(chatAnswer({ model: 'exact' }))
  const body = { model: 'exact', max_tokens: 10, messages: [{ role: 'user', content: 'Go on' }] }
  return postChat(product.tollgate, key, body)
}

test('An organization is made, funded, given members and keys, and shows what they spent.', async () => {
  await json('org', 'create', '--name', 'acme', '--credits', '10')
  expect(await json('org', 'add-credits', '--org', 'acme', '--credits', '90.5')).toMatchObject({ total: '100.5' })
  expect(
    await json('member', 'add', '--org', 'acme', '--user', 'alice', '--role', 'admin', '--allocate', '20'),
  ).toEqual({
    organization: { id: expect.any(String), name: 'acme' },
    user: 'alice',
    role: 'admin',
    remaining_credits: '20',
  })
  await json('member', 'allocate', '--org', 'acme', '--user', 'alice', '--credits', '5')
  const { key } = await json('key', 'create', '--org', 'acme', '--user', 'alice', '--label', 'laptop')
  expect((await call(String(key))).headers.get('x-credits-used')).toBe('0.150000')

  const { stdout } = await run('member', 'list', '--org', 'acme', '--json')
  expect(JSON.parse(stdout)).toEqual([{ user: 'alice', role: 'admin', allocated: '25', used: '0.15', held: '0' }])
  expect(await json('org', 'show', '--org', 'acme')).toEqual({
    id: expect.any(String),
    name: 'acme',
    status: 'active',
    plan: 'platform',
    members: 1,
    total: '100.5',
    allocated: '25',
    used: '0.15',
    held: '0',
  })
  const chosen = await json('member', 'default', '--org', 'acme', '--user', 'alice')
  expect(chosen).toEqual({ user: 'alice', default_organization: { id: expect.any(String), name: 'acme' } })
  const stranger = await run('member', 'default', '--org', 'acme', '--user', 'nobody')
  expect([stranger.code, stranger.stderr]).toEqual([1, 'tollgate: User is not a member of this organization\n'])
  const list = await run('org', 'list')
  expect(list.stdout.split('\n')[0]).toMatch(/^id +name +status +plan +members +total +allocated +used +held$/)
  expect(list.stdout).toMatch(/ acme +active +platform +1 +100\.5 +25 +0\.15 +0\n/)
})

test('A revoked key and a suspended organization are refused; one that is resumed calls again.', async () => {
  await json('org', 'create', '--name', 'globex', '--credits', '10')
  const made = await json('key', 'create', '--org', 'globex', '--user', 'bob', '--allocate', '5')
  const other = await json('key', 'create', '--org', 'globex', '--user', 'bob')
  expect(await json('key', 'revoke', '--key', String(made.id))).toEqual({ id: made.id, state: 'revoked' })
  // Never asked before, so nothing of them is remembered.
  expect((await call(String(made.key))).status).toBe(401)
  expect(await json('org', 'suspend', '--org', 'globex')).toMatchObject({ status: 'suspended' })
  const refused = await call(String(other.key))
  expect([refused.status, refused.json()]).toMatchObject([403, { error: { code: 'organization_suspended' } }])
  expect(await json('org', 'resume', '--org', 'globex')).toMatchObject({ status: 'active' })
  await expect.poll(async () => (await call(String(other.key))).status, { timeout: 10_000 }).toBe(200)

  const { stdout } = await run('key', 'list', '--org', 'globex', '--json')
  expect(JSON.parse(stdout)).toMatchObject([
    { id: made.id, state: 'revoked', user: 'bob', preview: made.preview },
    { id: other.id, state: 'active', user: 'bob', preview: other.preview },
  ])
  expect(stdout).not.toContain(String(made.key))
})

test.each([
  { args: ['org', 'show', '--org', 'nobody'], code: 1, says: 'There is no organization "nobody".' },
  { args: ['org', 'add-credits', '--org', 'nobody'], code: 2, says: '--credits is missing' },
  { args: ['member', 'list'], code: 2, says: '--org is missing' },
  { args: ['member', 'add', '--org', 'x'], code: 2, says: '--user is missing' },
  { args: ['key', 'revoke', '--key', 'laptop'], code: 2, says: "--key must be the id of a key; it is 'laptop'" },
  { args: ['key', 'revoke', '--key', '00000000-0000-4000-8000-000000000000'], code: 1, says: 'There is no key' },
])('A command that can not be done says why: $args: $says', async ({ args, code, says }) => {
  const ran = await run(...args)
  expect(ran.code).toBe(code)
  expect(ran.stderr).toContain(says)
})

test('More than the pool has is allocated to nobody.', async () => {
  await json('org', 'create', '--name', 'initech', '--credits', '10')
  const ran = await run('member', 'add', '--org', 'initech', '--user', 'carol', '--allocate', '11')
  expect(ran.code).toBe(1)
  expect(ran.stderr).toContain('Insufficient')
  expect(JSON.parse((await run('member', 'list', '--org', 'initech', '--json')).stdout)).toEqual([])
})

test('--help behind a command is about that command.', async () => {
  const { code, stdout } = await run('member', 'allocate', '--help')
  expect(code).toBe(0)
  expect(stdout).toContain('usage: tollgate member allocate --org acme --user alice --credits 5000\n')
  expect(stdout).not.toContain('keys rotate')
})
