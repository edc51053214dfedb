/** `tollgate migrate-from litellm`: old keys call, budgets go on where they were, and what is left is said. */
import { createCipheriv, createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import nacl from 'tweetnacl'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import type { MoveReport } from '../../src/moving/litellm/move.ts'
import { inHours, useLitellmDatabase } from '../support/litellm-database.ts'
import { manage } from '../support/management.ts'
import { useProduct } from '../support/product.ts'
import { runCommand } from '../support/run-tollgate.ts'
import { postChat } from '../support/tollgate.ts'
import { chatAnswer } from '../support/upstream-answers.ts'

const SALT = 'sk-salt-of-litellm'
const hash = (key: string) => createHash('sha256').update(key).digest('hex')
/** A key as LiteLLM generates them, and one that its owner chose. */
const KEYS = {
  ann: 'sk-Qv0m3dWm0w2y8uA1bC2dEf',
  windowed: 'sk-R1r2R3r4R5r6R7r8R9r0Ra',
  chosen: 'sk-1234!x',
  blocked: 'sk-B1b2B3b4B5b6B7b8B9b0Ba',
  expired: 'sk-E1e2E3e4E5e6E7e8E9e0Ea',
  acme: 'sk-A1a2A3a4A5a6A7a8A9a0Aa',
  named: 'sk-N1n2N3n4N5n6N7n8N9n0Na',
  over: 'sk-O1o2O3o4O5o6O7o8O9o0Oa',
  guarded: 'sk-G1g2G3g4G5g6G7g8G9g0Ga',
  several: 'sk-S1s2S3s4S5s6S7s8S9s0Sa',
}

function key(name: keyof typeof KEYS, columns: Record<string, string>): string {
  const all = {
    token: `'${hash(KEYS[name])}'`,
    key_alias: `'${name}'`,
    key_name: `'sk-...${KEYS[name].slice(-4)}'`,
    ...columns,
  }
  return `insert into "LiteLLM_VerificationToken" (${Object.keys(all).join(', ')}) values (${Object.values(all).join(', ')});`
}

/** As LiteLLM's two ways of sealing make them. */
function boxed(text: string): string {
  const nonce = Buffer.alloc(nacl.secretbox.nonceLength, 7)
  const sealed = nacl.secretbox(Buffer.from(text), nonce, createHash('sha256').update(SALT).digest())
  return Buffer.concat([nonce, sealed]).toString('base64').replaceAll('+', '-').replaceAll('/', '_')
}

function gcm(text: string): string {
  const nonce = Buffer.alloc(12, 7)
  const cipher = createCipheriv('aes-256-gcm', createHash('sha256').update(SALT).digest(), nonce)
  const sealed = Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()])
  return `v2:gcm:${sealed.toString('base64url')}`
}

const theirs = useLitellmDatabase(
  () => `
  insert into "LiteLLM_BudgetTable" (budget_id, max_budget, budget_duration, budget_reset_at, rpm_limit) values
    ('of-acme', 1, null, null, null), ('shared', 0.01, '30d', ${inHours(100)}, 50), ('of-member', 0.004, null, null, null),
    ('of-customer', 0.006, null, null, null);
  insert into "LiteLLM_OrganizationTable" (organization_id, organization_alias, budget_id, spend, models) values ('org-acme', 'Acme', 'of-acme', 0.5, '{}');
  insert into "LiteLLM_UserTable" (user_id, user_email, user_role, spend, max_budget, models, organization_id) values
    ('ann', 'ann@example.com', 'proxy_admin', 0.003, 0.1, '{}', null), ('bob', null, 'internal_user', 0, null, '{}', 'org-acme'),
    ('litellm-proxy-budget', null, null, 12.5, null, '{}', null);
  insert into "LiteLLM_OrganizationMembership" (user_id, organization_id, user_role) values ('bob', 'org-acme', 'org_admin');
  insert into "LiteLLM_ModelTable" (id, aliases) values (7, '{"cheap": "exact"}');
  insert into "LiteLLM_TeamTable" (team_id, team_alias, organization_id, members_with_roles, max_budget, spend, models, model_id) values
    ('blue', 'The blue ones', 'org-acme', '[{"role": "admin", "user_id": "bob"}]', 0.5, 0.25, '{exact,gpt-4o*}', 7);
  insert into "LiteLLM_TeamMembership" (user_id, team_id, spend, budget_id) values ('bob', 'blue', 0.002, 'of-member');
  insert into "LiteLLM_EndUserTable" (user_id, spend, budget_id, blocked) values ('customer-1', 0.004, 'of-customer', false), ('customer-2', 0, null, true);
  ${key('ann', { user_id: "'ann'", spend: '0.1', max_budget: '0.1061', metadata: `'{"tags": ["batch"], "note": "x", "model_rpm_limit": {"exact": 50}}'`, rpm_limit: '100' })}
  ${key('windowed', { spend: '0.002', total_spend: '7.25', max_budget: '0.004', budget_duration: "'30d'", budget_reset_at: inHours(1) })}
  ${key('over', { spend: '0.9', max_budget: '0.002', budget_duration: "'1d'", budget_reset_at: inHours(-1) })}
  ${key('chosen', { models: "'{exact}'", spend: '0' })}
  ${key('blocked', { blocked: 'true' })}
  ${key('expired', { expires: inHours(-1) })}
  ${key('acme', { team_id: "'blue'", user_id: "'bob'" })}
  ${key('named', { budget_id: "'shared'", spend: '0.009' })}
  ${key('several', { budget_limits: `'[{"budget_duration": "1h", "max_budget": 0.5}, {"budget_duration": "30d", "max_budget": 0.008}]'`, spend: '0.75' })}
  ${key('guarded', { metadata: `'{"guardrails": ["pii"]}'` })}
  insert into "LiteLLM_VerificationToken" (token, key_alias, team_id) values ('sk-raw', 'raw', null), ('${hash('ui')}', null, 'litellm-dashboard');
  insert into "LiteLLM_SpendLogs" (request_id, call_type, api_key, spend, "startTime", "endTime", model) values
    ('one', 'acompletion', '${hash(KEYS.several)}', 0.0065, date_trunc('month', now() at time zone 'UTC'), now() at time zone 'UTC', 'exact'),
    ('two', 'acompletion', '${hash(KEYS.several)}', 0.7, now() at time zone 'UTC' - interval '40 days', now() at time zone 'UTC', 'exact');
  insert into "LiteLLM_TagTable" (tag_name, budget_id) values ('batch', 'of-customer'), ('free', null);
  insert into "LiteLLM_CredentialsTable" (credential_id, credential_name, credential_values) values ('c1', 'of openai', '{"api_key": "${boxed('sk-theirs')}"}');
  insert into "LiteLLM_ProxyModelTable" (model_id, model_name, litellm_params, model_info) values
    ('m1', 'mine', '{"model": "${boxed('openai/gpt-4o')}", "api_key": "${gcm('sk-secret')}", "rpm": 60}', '{"id": "m1", "db_model": true}'),
    ('m2', 'theirs', '{"model": "${boxed('openai/gpt-4o-mini')}", "litellm_credential_name": "${boxed('of openai')}"}', '{}'),
    ('m3', 'broken', '{"model": "bm90IG91cnM="}', '{}');`,
)

const product = useProduct(() => ({ general_settings: { budget_exceeded_status_code: 429 } }))
let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tollgate-models-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** $0.002, held and charged. */
const CALL = { model: 'exact', max_tokens: 100, messages: [{ role: 'user', content: 'Count to a hundred' }] }
const call = (name: keyof typeof KEYS, more: object = {}) =>
  postChat(product.tollgate, KEYS[name], { ...CALL, ...more })
const info = async (name: keyof typeof KEYS) =>
  ((await manage(product.tollgate, `GET /key/info?key=${hash(KEYS[name])}`)).value as { info: Record<string, unknown> })
    .info

async function move(...flags: string[]): Promise<{ code: number | null; report: MoveReport }> {
  const args = ['migrate-from', 'litellm', '--json', ...flags]
  const env = { LITELLM_SALT_KEY: SALT, LITELLM_DATABASE_URL: theirs.url }
  const { code, stdout, stderr } = await runCommand({ args, databaseUrl: product.db.url, env })
  expect(stderr).toBe('')
  return { code, report: JSON.parse(stdout) as MoveReport }
}

const kinds = ({ kinds: all }: MoveReport) =>
  Object.fromEntries(
    all.map(({ what, there, carried, already_here: here, left }) => [what, [there, carried, here, left]]),
  )
const said = ({ notes }: MoveReport, is: 'left' | 'changed') =>
  notes.filter((note) => note.is === is).map(({ what, row, says }) => `${what} ${row}: ${says}`)

const counts = async () =>
  (
    await product.db.pool.query(`select (select count(*)::int from tollgate.api_keys where kind = 'virtual_key') as keys,
    (select count(*)::int from tollgate.spenders) as spenders, (select count(*)::int from tollgate.ledger_openings) as openings,
    (select count(*)::int from organizations) as organizations, (select sum(used)::text from tollgate.ledger_limits) as used`)
  ).rows[0]

describe('A database of the newest LiteLLM', { timeout: 120_000 }, () => {
  test('The dry run says what would be carried and what is left, and writes nothing.', async () => {
    const before = await counts()
    const { code, report } = await move('--dry-run')
    expect(code).toBe(1)
    expect(kinds(report)).toEqual({
      organizations: [1, 1, 0, 0],
      budgets: [2, 2, 0, 0],
      teams: [1, 1, 0, 0],
      users: [3, 2, 0, 1],
      'team members': [1, 1, 0, 0],
      customers: [2, 2, 0, 0],
      keys: [12, 9, 0, 3],
      deployments: [3, 0, 0, 3],
      others: [1, 0, 0, 1],
    })
    // 0.1 + 7.25 + 0.9 + 0.009 + 0.75
    expect(report.spent_by_keys).toBe('9.009')
    expect(said(report, 'left')).toEqual([
      'users litellm-proxy-budget: It stands for all calls together: litellm_settings.max_budget in config.yaml bounds those.',
      'keys guarded: guardrails is not enforced here. With --accept-unenforced guardrails it is carried without it.',
      'keys raw: Its token is no SHA-256: LiteLLM does not accept it either.',
      `keys ${hash('ui').slice(0, 12)}: It is a session of LiteLLM's dashboard.`,
      'deployments broken m3: It is sealed under another key than LITELLM_SALT_KEY.',
      'others LiteLLM_TagTable batch: Budgets of tags are not carried.',
    ])
    expect(said(report, 'changed')).toContain(
      'users ann: The role proxy_admin is not carried: keys call models only. The master key manages.',
    )
    expect(await counts()).toEqual(before)
  })

  test('A move carries everything once, and the next one changes nothing.', async () => {
    const file = join(folder, 'models.yaml')
    const first = await move('--models-to', file)
    expect(kinds(first.report).keys).toEqual([12, 9, 0, 3])
    const after = await counts()
    expect(after).toMatchObject({ keys: 9, organizations: 2 })
    const again = await move()
    expect(kinds(again.report)).toMatchObject({ keys: [12, 0, 9, 3], users: [3, 0, 2, 1], budgets: [2, 0, 2, 0] })
    expect(again.report.spent_by_keys).toBe('0')
    expect(await counts()).toEqual(after)
  })

  test('Deployments are written with their keys, opened both ways, for nobody else to read.', async () => {
    const file = join(folder, 'models.yaml')
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect(parse(await readFile(file, 'utf8'))).toEqual({
      model_list: [
        {
          model_name: 'mine',
          litellm_params: { model: 'openai/gpt-4o', api_key: 'sk-secret', rpm: 60 },
          model_info: { id: 'm1' },
        },
        {
          model_name: 'theirs',
          litellm_params: { api_key: 'sk-theirs', model: 'openai/gpt-4o-mini' },
          model_info: { id: 'm2' },
        },
      ],
    })
  })

  test('Keys have what they had, and what they spent, to the digit.', async () => {
    expect(await info('ann')).toMatchObject({
      ...{
        key_alias: 'ann',
        user_id: 'ann',
        spend: 0.1,
        max_budget: 0.1061,
        tags: ['batch'],
        metadata: { note: 'x' },
        rpm_limit: 100,
        model_rpm_limit: { exact: 50 },
      },
    })
    expect(await info('windowed')).toMatchObject({ spend: 0.002, max_budget: 0.004, budget_duration: '30d' })
    expect(await info('over')).toMatchObject({ spend: 0, max_budget: 0.002 })
    expect(await info('named')).toMatchObject({ spend: 0.009, budget_id: 'shared' })
    expect(await info('acme')).toMatchObject({ team_id: 'blue', user_id: 'bob' })
    const user = (await manage(product.tollgate, 'GET /user/info?user_id=ann')).value
    expect(user).toMatchObject({ user_info: { spend: 0.003, max_budget: 0.1, user_email: 'ann@example.com' } })
    const team = (await manage(product.tollgate, 'GET /team/info?team_id=blue')).value
    expect(team).toMatchObject({
      team_info: { spend: 0.25, max_budget: 0.5, model_aliases: { cheap: 'exact' } },
      team_memberships: [{ user_id: 'bob', spend: 0.002, max_budget: 0.004, role: 'admin' }],
    })
    const organizations = (await manage(product.tollgate, 'GET /organization/list')).value as unknown as object[]
    expect(organizations).toContainEqual(
      expect.objectContaining({ organization_alias: 'Acme', spend: 0.5, max_budget: 1 }),
    )
  })

  test('Old keys call, and each budget lets through exactly the calls that were left of it.', async () => {
    product.upstream.respond(
      chatAnswer({ model: 'exact', usage: { prompt_tokens: 7, completion_tokens: 100, total_tokens: 107 } }),
    )
    const statuses = async (name: keyof typeof KEYS, times: number, more: object = {}) => {
      const got = []
      for (let at = 0; at < times; at += 1) got.push((await call(name, more)).status)
      return got
    }
    // 0.1061 - 0.1, with 0.002 a call.
    expect(await statuses('ann', 4)).toEqual([200, 200, 200, 429])
    expect(await statuses('windowed', 2)).toEqual([200, 429])
    expect(await statuses('over', 2)).toEqual([200, 429])
    expect(await statuses('named', 1)).toEqual([429])
    expect(await statuses('several', 2)).toEqual([429, 429])
    expect(await statuses('chosen', 1)).toEqual([200])
    // The team's alias, and the member's 0.004 - 0.002.
    expect(await statuses('acme', 2, { model: 'cheap' })).toEqual([200, 429])
    expect(await statuses('blocked', 1)).toEqual([401])
    expect(await statuses('expired', 1)).toEqual([401])
    expect(await statuses('guarded', 1)).toEqual([401])
    // The customer's 0.006 - 0.004, whoever calls.
    expect(await statuses('chosen', 2, { user: 'customer-1' })).toEqual([200, 429])
    expect(await statuses('chosen', 1, { user: 'customer-2' })).toEqual([403])
  })

  test('What was spent there since is added by the next run, on top of what was spent here, while calls run.', async () => {
    await theirs.query(`update "LiteLLM_VerificationToken" set spend = 0.105 where token = '${hash(KEYS.ann)}'`)
    const callers = Array.from({ length: 20 }, () => call('chosen'))
    const { report } = await move()
    expect(report.spent_by_keys).toBe('0.005')
    // 0.1 and three calls of 0.002, and 0.005.
    expect(await info('ann')).toMatchObject({ spend: 0.111 })
    const statuses = (await Promise.all(callers)).map(({ status }) => status)
    expect(statuses).toEqual(statuses.map(() => 200))
    // And the two calls before.
    expect(await info('chosen')).toMatchObject({ spend: 0.044 })
  })

  test('Restrictions that nobody enforces are dropped only where the operator names them.', async () => {
    const { report } = await move('--accept-unenforced', 'guardrails')
    expect(kinds(report).keys).toEqual([12, 1, 9, 2])
    expect((await call('guarded')).status).toBe(200)
  })

  test('The report for people is a table that fits a terminal, and shows no password.', async () => {
    const args = ['migrate-from', 'litellm', '--dry-run']
    const env = { LITELLM_DATABASE_URL: theirs.url }
    const { stdout } = await runCommand({ args, databaseUrl: product.db.url, env })
    expect(
      stdout
        .split('\n')
        .slice(1)
        .filter((line) => line.length > 110),
    ).toEqual([])
    expect(stdout).toContain('nothing has to be bought')
    const wrong = await runCommand({
      args: ['migrate-from', 'litellm', '--database', 'postgresql://someone:hunter2@127.0.0.1:1/none'],
      databaseUrl: product.db.url,
    })
    expect([wrong.code, wrong.stdout, wrong.stderr.includes('hunter2')]).toEqual([4, '', false])
    expect(wrong.stderr).toContain('ECONNREFUSED')
  })
})

describe('A database of an old LiteLLM', () => {
  const old = useLitellmDatabase(
    () => `
    insert into "LiteLLM_VerificationToken" (token, key_name, key_alias, spend, max_budget, user_id) values
      ('${hash('sk-old-key-of-a-caller-1')}', 'sk-...er-1', 'old', 1.5, 2, 'olga');
    insert into "LiteLLM_UserTable" (user_id, spend) values ('olga', 1.5);`,
    { old: true },
  )

  test('A database of an old LiteLLM has fewer columns, which is not an error.', async () => {
    const args = ['migrate-from', 'litellm', '--json', '--database', old.url]
    const { code, stdout } = await runCommand({ args, databaseUrl: product.db.url })
    expect([code, kinds(JSON.parse(stdout) as MoveReport)]).toMatchObject([
      0,
      { keys: [1, 1, 0, 0], users: [1, 1, 0, 0] },
    ])
  })
})
