/** `tollgate reconcile`: what a provider billed beside what is booked. Differences are planted; each is named, or said to be unexplained. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { contextOf } from '../../src/vault/key-owner.ts'
import { rawRoot } from '../../src/vault/root-key.ts'
import { createSealer } from '../../src/vault/sealer.ts'
import { useDatabase } from '../support/database.ts'
import { runCommand } from '../support/run-tollgate.ts'
import { ROOT_KEY } from '../support/tollgate.ts'
import { type Billed, type BillServer, startBillServer } from './bill-server.ts'
import { bookCalls } from './book-calls.ts'

// Commands that start one after the other.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 })
const db = useDatabase()
const KEY = 'sk-admin-0123456789abcdef'
const span = ['--from', '2026-11-10', '--to', '2026-11-11']
const servers: BillServer[] = []
let folder: string
let orgId: string
let ids: Record<string, string>

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tollgate-reconcile-'))
  await writeFile(
    join(folder, 'config.yaml'),
    `model_list:
  - model_name: gpt-x
    litellm_params: { model: openai/gpt-x, api_key: os.environ/OPENAI_API_KEY, input_cost_per_token: 0.001, output_cost_per_token: 0.001 }
    model_info: { id: gpt-x-dep }
`,
  )
  orgId = (await db.seedOrganization({ credits: 1_000_000, users: { alice: 1_000_000 } })).id
  ids = await bookCalls(db, orgId)
})

afterAll(async () => {
  await Promise.all(servers.map((server) => server.close()))
  await rm(folder, { recursive: true, force: true })
})

async function serve(billed: readonly Billed[]): Promise<BillServer> {
  const server = await startBillServer(billed, KEY)
  servers.push(server)
  return server
}

async function reconcile(provider: string, args: string[], env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await runCommand({
    args: ['reconcile', provider, '--config', join(folder, 'config.yaml'), ...span, ...args],
    databaseUrl: db.url,
    env: { OPENAI_API_KEY: 'sk-of-calls', ...env },
  })
  expect(stdout + stderr).not.toContain(KEY)
  return { code, stdout, stderr }
}

const lineOf = (stdout: string, model: string, day = '2026-11-10') =>
  (JSON.parse(stdout).lines as { model: string; day: string }[]).find((one) => one.model === model && one.day === day)

const RIGHT: Billed[] = [
  { day: '2026-11-10', item: 'gpt-x-2026-01-01, input', dollars: '1', key: 'key_a', calls: 2 },
  { day: '2026-11-10', item: 'gpt-x-2026-01-01, output', dollars: '0.75', key: 'key_a' },
  { day: '2026-11-10', item: 'gpt-d, output', dollars: '0.5' },
  { day: '2026-11-10', item: 'gpt-e, output', dollars: '0.1' },
  { day: '2026-11-10', item: 'gpt-l, output', dollars: '0.1' },
  { day: '2026-11-10', item: 'gpt-u, output', dollars: '0.3' },
  { day: '2026-11-10', item: 'gpt-m, output', dollars: '0.8' },
  { day: '2026-11-11', item: 'gpt-p, output', dollars: '0.45' },
]

test("OpenAI's costs are read in pages, by day and model, and each planted difference is explained by its call.", async () => {
  const server = await serve(RIGHT)
  const { code, stdout, stderr } = await reconcile('openai', ['--api-base', server.url, '--json'], {
    OPENAI_ADMIN_KEY: KEY,
  })
  expect([code, stderr]).toEqual([0, ''])
  expect(JSON.parse(stdout)).toMatchObject({
    provider: 'openai',
    billed: '4',
    booked: '4.73',
    difference: '-0.73',
    unexplained: 0,
  })
  // 1.5 of the plain call, 0.1 of the recovered one, whose row names a deployment and no provider.
  expect(lineOf(stdout, 'gpt-x')).toEqual({
    ...{ day: '2026-11-10', model: 'gpt-x', key: null, verdict: 'explained' },
    ...{ billed: '1.75', booked: '1.6', difference: '0.15', billed_calls: 2, booked_calls: 2 },
    ...{ billed_by_key: { key_a: '1.75' }, booked_by_deployment: { 'openai-1': '1.5', 'gpt-x-dep': '0.1' } },
    causes: [{ cause: 'recovered', calls: 1, least: '-0.1', most: '0.4', call_ids: [ids.recovered] }],
  })
  const causes = (model: string, day?: string) =>
    lineOf(stdout, model, day) as unknown as { verdict: string; causes: unknown[] }
  const cause = (name: string, doubt: string, least: string, most: string) => ({
    cause: doubt,
    calls: 1,
    least,
    most,
    call_ids: [ids[name]],
  })
  expect(causes('gpt-d')).toMatchObject({ verdict: 'explained', causes: [cause('disputed', 'disputed', '-2', '0')] })
  expect(causes('gpt-e')).toMatchObject({
    verdict: 'explained',
    causes: [cause('estimated', 'estimated', '-0.04', '0.06')],
  })
  expect(causes('gpt-l')).toMatchObject({ verdict: 'explained', causes: [cause('left', 'abandoned', '-0.04', '0.06')] })
  expect(causes('gpt-u')).toMatchObject({
    verdict: 'explained',
    causes: [cause('unknown', 'unknown_outcome', '0', '0.3')],
  })
  // Booked on the 11th, billed on the 10th: one came a minute after midnight, one had run since the day before.
  const both = { calls: 2, call_ids: [ids.midnight, ids.long], cause: 'around_midnight' }
  expect(causes('gpt-m')).toMatchObject({
    verdict: 'explained',
    difference: '0.8',
    causes: [{ ...both, least: '0', most: '0.8' }],
  })
  expect(causes('gpt-m', '2026-11-11')).toMatchObject({
    verdict: 'explained',
    difference: '-0.8',
    causes: [{ ...both, least: '-0.8', most: '0' }, cause('elsewhere', 'unknown_outcome', '0', '0.2')],
  })
  // A call that another provider served in the end may have been billed for any model.
  expect(causes('gpt-p', '2026-11-11')).toMatchObject({
    verdict: 'explained',
    difference: '0.2',
    causes: [cause('elsewhere', 'unknown_outcome', '0', '0.2')],
  })
  expect(server.asked.map(({ url }) => url)).toEqual([
    '/organization/costs?start_time=1794268800&end_time=1794441600&bucket_width=1d&limit=180&group_by=line_item&group_by=api_key_id',
    '/organization/costs?start_time=1794268800&end_time=1794441600&bucket_width=1d&limit=180&group_by=line_item&group_by=api_key_id&page=1',
    '/organization/usage/completions?start_time=1794268800&end_time=1794441600&bucket_width=1d&limit=31&group_by=model&group_by=api_key_id',
    '/organization/usage/completions?start_time=1794268800&end_time=1794441600&bucket_width=1d&limit=31&group_by=model&group_by=api_key_id&page=1',
  ])
})

test('What no call explains is said, with exit code 1: more than the doubtful calls can be, and a key that is used beside Tollgate.', async () => {
  const { url } = await serve([
    ...RIGHT.filter(({ item }) => item !== 'gpt-u, output'),
    { day: '2026-11-10', item: 'gpt-u, output', dollars: '0.32' },
    { day: '2026-11-10', item: 'gpt-x-2026-01-01, output', dollars: '0.2', key: 'key_other' },
  ])
  const args = ['--api-base', url, '--keys', 'key_a=openai-1,key_a=gpt-x-dep']
  const { code, stdout } = await reconcile('openai', [...args, '--json'], { OPENAI_ADMIN_KEY: KEY })
  expect(code).toBe(1)
  const lines = JSON.parse(stdout).lines as { model: string; key: string; verdict: string; difference: string }[]
  expect(lines.filter(({ model }) => model === 'gpt-x')).toMatchObject([
    { key: 'key_a', verdict: 'explained', difference: '0.15' },
    { key: 'key_other', verdict: 'unexplained', difference: '0.2' },
  ])
  const text = await reconcile('openai', args.slice(0, 2), { OPENAI_ADMIN_KEY: KEY })
  expect(text.code).toBe(1)
  expect(text.stdout).toMatch(/2026-11-10\s+gpt-u\s+0\.32\s+0\s+0\.32\s+-\s+1\s+unexplained/)
  expect(text.stdout).toContain(
    `unknown_outcome (went out, and nobody knows its end): 1 call, from $0 to $0.3\n      ${ids.unknown}`,
  )
})

test("Anthropic's cents and tokens by key are read; searches that it bills on a line of their own are explained.", async () => {
  const server = await serve([
    { day: '2026-11-10', item: 'claude-y-20260101', dollars: '0.48', key: 'apikey_1' },
    { day: '2026-11-10', item: null, dollars: '0.02' },
    { day: '2026-11-11', item: 'claude-z', dollars: '1', key: 'apikey_1' },
  ])
  const { code, stdout } = await reconcile('anthropic', ['--api-base', server.url, '--json'], {
    ANTHROPIC_ADMIN_KEY: KEY,
  })
  expect(code).toBe(0)
  const tools = { cause: 'provider_tools', calls: 1, call_ids: [ids.claude] }
  expect(JSON.parse(stdout).lines).toMatchObject([
    {
      model: '(other)',
      billed: '0.02',
      booked: '0',
      verdict: 'explained',
      causes: [{ ...tools, least: '0', most: '0.5' }],
    },
    {
      model: 'claude-y',
      billed: '0.48',
      booked: '0.5',
      verdict: 'explained',
      causes: [{ ...tools, least: '-0.5', most: '0' }],
    },
    { model: 'claude-z', billed: '1', booked: '1', verdict: 'same', causes: [] },
  ])
  expect(JSON.parse(stdout).use[0]).toEqual({
    ...{
      day: '2026-11-10',
      model: 'claude-y-20260101',
      key: 'apikey_1',
      calls: null,
      input_tokens: 10,
      output_tokens: 5,
    },
  })
  expect(decodeURIComponent(server.asked[0]?.url ?? '')).toBe(
    '/organizations/cost_report?starting_at=2026-11-10T00:00:00Z&ending_at=2026-11-12T00:00:00Z&bucket_width=1d&limit=31&group_by[]=description',
  )
})

test('OpenRouter is asked day by day and key by key, with the provisioning key of the vault where the environment has none.', async () => {
  const sealed = await createSealer().seal(
    KEY,
    contextOf('provisioning', { kind: 'platform' }),
    rawRoot(Buffer.from(ROOT_KEY, 'base64')),
  )
  await db.pool.query(
    "insert into platform_settings (key, value, category, is_secret) values ('provisioning_key', $1, 'api_keys', true)",
    [sealed],
  )
  const server = await serve([
    { day: '2026-11-10', item: 'vendor/m', dollars: '0.4', key: 'hash1', calls: 1 },
    { day: '2026-11-10', item: 'vendor/m', dollars: '0.3', key: 'hash2', calls: 4 },
  ])
  const { code, stdout, stderr } = await reconcile('openrouter', [
    '--api-base',
    server.url,
    '--keys',
    'hash1=openrouter-1',
    '--tolerance',
    '0.1',
    '--json',
  ])
  expect([code, stderr]).toEqual([1, ''])
  expect(JSON.parse(stdout).lines).toMatchObject([
    { key: '-', billed: '0.3', booked: '0', verdict: 'unexplained', billed_calls: 4 },
    { key: 'hash1', billed: '0.4', booked: '0.5', verdict: 'same', billed_calls: 1, booked_calls: 1 },
  ])
})

test.each([
  [
    'openai',
    'start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id\n1794268800,1794355200,2026-11-10T00:00:00+00:00,2026-11-11T00:00:00+00:00,1.6000000000,usd,"gpt-x-2026-01-01, input",\n1794355200,1794441600,2026-11-11T00:00:00+00:00,,,,,\n',
    'gpt-x',
    '1.6',
  ],
  [
    'anthropic',
    '\uFEFFusage_date_utc,model,workspace,api_key,usage_type,token_type,cost_usd\r\n2026-11-10,claude-y-20260101,"Default, the one",k1,message,input,0.3\r\n2026-11-10,claude-y-20260101,Default,k1,message,output,0.2\r\n2026-11-13,claude-y,Default,k1,message,output,5\r\n',
    'claude-y',
    '0.5',
  ],
  [
    'openrouter',
    'generation_id,created_at,cost_total,model_permaslug,api_key_name\ngen-1,2026-11-10 12:00:00.5,0.500000001,vendor/m,main\n',
    'vendor/m',
    '0.500000001',
  ],
])(
  'A report of %s that was downloaded as CSV is read by the names of its columns.',
  async (provider, text, model, billed) => {
    const file = join(folder, `${provider}.csv`)
    await writeFile(file, text)
    const { stdout } = await reconcile(provider, ['--file', file, '--json'])
    expect(lineOf(stdout, model)).toMatchObject({ billed, model })
  },
)

test('A key that is refused, a report of an unknown form, a file without amounts and a missing key are said, without the key.', async () => {
  const { url } = await serve(RIGHT)
  const wrong = 'sk-admin-wrongwrongwrongwrong'
  const refused = await reconcile('openai', ['--api-base', url], { OPENAI_ADMIN_KEY: wrong })
  expect(refused).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('refuses the key (401)') })
  expect(refused.stderr).not.toContain(wrong)
  expect((await reconcile('openai', [])).stderr).toContain('Set OPENAI_ADMIN_KEY')
  const file = join(folder, 'other.csv')
  await writeFile(file, 'date,tokens\n2026-11-10,5\n')
  expect((await reconcile('openai', ['--file', file])).stderr).toContain('no column of the amount in dollars')
  expect((await reconcile('openai', ['--file', file, '--keys', 'nothing'])).code).toBe(2)
})
