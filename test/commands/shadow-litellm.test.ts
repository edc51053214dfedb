/** `tollgate shadow litellm`: errors planted in a log of spending are found, to the nano-dollar. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { useLitellmDatabase } from '../support/litellm-database.ts'
import { runCommand } from '../support/run-tollgate.ts'

const ANN = 'a'.repeat(64)
const BEN = 'b'.repeat(64)
/** In dollars: input 0.000001, output 0.00001, a cached token 0.0000001. So 1000 in and 100 out cost 0.002; 800 cached of them 0.00128. */
const CONFIG = `
model_list:
  - model_name: mine
    litellm_params:
      model: openai/mine
      api_base: http://127.0.0.1:9
      api_key: os.environ/MINE_KEY
      input_cost_per_token: 0.000001
      output_cost_per_token: 0.00001
      cache_read_input_token_cost: 0.0000001
`

interface Logged {
  id: string
  spend: number
  key?: string
  type?: string
  model?: string
  provider?: string
  tokens?: [number, number]
  cached?: number
  call?: string
  at?: string
  status?: string
  hit?: boolean
}

function logged(row: Logged): string {
  const {
    id,
    spend,
    key = ANN,
    type = 'acompletion',
    model = 'mine',
    provider = 'openai',
    tokens = [1000, 100],
    cached = 0,
  } = row
  const {
    call = id,
    at = `2026-11-10 10:00:${String(id.length).padStart(2, '0')}`,
    status = 'success',
    hit = false,
  } = row
  const usage = {
    prompt_tokens: tokens[0],
    completion_tokens: tokens[1],
    prompt_tokens_details: { cached_tokens: cached },
  }
  const metadata = JSON.stringify({ usage_object: usage, user_api_key_alias: key === BEN ? 'of ben' : null })
  return `insert into "LiteLLM_SpendLogs" (request_id, call_type, api_key, spend, prompt_tokens, completion_tokens, total_tokens, "startTime", "endTime",
    model, model_group, custom_llm_provider, metadata, cache_hit, status, litellm_call_id) values ('${id}', '${type}', '${key}', ${spend}, ${tokens[0]},
    ${tokens[1]}, ${tokens[0] + tokens[1]}, '${at}', '${at}', '${model}', '${model}', '${provider}', '${metadata}', '${hit ? 'True' : 'False'}', '${status}', '${call}');`
}

const theirs = useLitellmDatabase(() =>
  [
    `insert into "LiteLLM_VerificationToken" (token, key_alias) values ('${ANN}', 'of ann');`,
    logged({ id: 'r', spend: 0.002 }),
    logged({ id: 'r2', spend: 0.002, cached: 800 }),
    logged({ id: 'r33', spend: 0.00208, cached: 800 }),
    logged({ id: 'r444', spend: 0, type: 'aresponses' }),
    logged({ id: 'r5555', spend: 0.002, call: 'r' }),
    logged({ id: 'r66666', spend: 0.5, model: 'mystery', provider: 'nobody' }),
    logged({ id: 'r777777', spend: 0, status: 'failure' }),
    logged({ id: 'r8888888', spend: 0.003 }),
    logged({ id: 'r99999999', spend: 0, hit: true }),
    logged({ id: 'r-listed-price', spend: 0.00075, key: BEN, model: 'gpt-4o-mini', tokens: [1000, 1000] }),
    logged({ id: 'r-streamed-alias', spend: 0, key: BEN }),
    logged({ id: 'r-without-any-usage', spend: 0.1, key: BEN, tokens: [0, 0] }),
    logged({ id: 'r-of-another-month', spend: 7, key: BEN, at: '2026-10-31 23:59:59' }),
  ].join('\n'),
)

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tollgate-shadow-'))
  await writeFile(join(folder, 'config.yaml'), CONFIG)
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function shadow(...flags: string[]) {
  const args = ['shadow', 'litellm', '--config', join(folder, 'config.yaml'), ...flags]
  const env = { LITELLM_DATABASE_URL: theirs.url, MINE_KEY: 'sk-none' }
  return runCommand({ args, databaseUrl: 'postgresql://127.0.0.1:9/none', env })
}

const NOVEMBER = ['--from', '2026-11-01', '--to', '2026-12-01']
const tally = (calls: number, booked: string, due: string, difference: string) => ({ calls, booked, due, difference })

test('Each planted error is found, with what was booked and what was due.', async () => {
  const { code, stdout, stderr } = await shadow('--json', ...NOVEMBER)
  expect([code, stderr]).toEqual([1, ''])
  const report = JSON.parse(stdout) as { rows: unknown[]; reasons: unknown; total: unknown }
  expect(report.reasons).toEqual({
    same: tally(4, '0.00275', '0.00275', '0'),
    cached_at_full_price: tally(1, '0.002', '0.00128', '-0.00072'),
    cached_twice: tally(1, '0.00208', '0.00128', '-0.0008'),
    responses_at_zero: tally(1, '0', '0.002', '0.002'),
    double: tally(1, '0.002', '0', '-0.002'),
    no_price: tally(1, '0.5', '0.5', '0'),
    other_price: tally(1, '0.003', '0.002', '-0.001'),
    at_zero: tally(1, '0', '0.002', '0.002'),
    no_usage: tally(1, '0.1', '0.1', '0'),
  })
  expect(report.total).toEqual(tally(12, '0.61183', '0.61131', '-0.00052'))
  expect(report.rows).toContainEqual({
    ...{ key: ANN, key_alias: 'of ann', model: 'mine' },
    ...tally(8, '0.01108', '0.00856', '-0.00252'),
    reasons: {
      same: tally(3, '0.002', '0.002', '0'),
      cached_at_full_price: tally(1, '0.002', '0.00128', '-0.00072'),
      cached_twice: tally(1, '0.00208', '0.00128', '-0.0008'),
      responses_at_zero: tally(1, '0', '0.002', '0.002'),
      double: tally(1, '0.002', '0', '-0.002'),
      other_price: tally(1, '0.003', '0.002', '-0.001'),
    },
  })
  expect(report.rows).toContainEqual({
    ...{ key: BEN, key_alias: 'of ben', model: 'gpt-4o-mini' },
    ...tally(1, '0.00075', '0.00075', '0'),
    reasons: { same: tally(1, '0.00075', '0.00075', '0') },
  })
})

test('The findings are printed as CSV too, and as tables that fit a terminal.', async () => {
  const csv = await shadow('--csv', ...NOVEMBER)
  expect(csv.stdout.split('\r\n')).toContain(`${ANN},of ann,mine,double,1,0.002,0,-0.002`)
  const { stdout } = await shadow(...NOVEMBER)
  expect(stdout).toContain(
    '12 calls: it booked $0.61183, $0.61131 were due by the prices here: a difference of $-0.00052.',
  )
  expect(
    stdout
      .split('\n')
      .slice(1)
      .filter((line) => line.length > 110),
  ).toEqual([])
})

test('A period in which both agree ends with exit code 0; a text that is not a time ends with 2.', async () => {
  const { code, stdout } = await shadow('--json', '--from', '2026-11-10T10:00:01Z', '--to', '2026-11-10T10:00:02Z')
  expect([code, JSON.parse(stdout)]).toMatchObject([0, { total: { calls: 1 } }])
  expect((await shadow('--from', 'yesterday')).code).toBe(2)
})
