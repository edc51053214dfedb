/**
 * npm run compare -- litellm: the same requests to Tollgate and to a real LiteLLM proxy, on the same configuration, one scripted provider
 * behind both. Every difference in status, shape of the body and headers is printed with its reason; one without a reason fails the run.
 * LiteLLM's keys, budgets, limits and spend need its database client, whose engine PyPI does not have: those are not compared here.
 */
import { chmod } from 'node:fs/promises'
import { join } from 'node:path'
import { peersFolder, startLitellmWith } from '../../bench/peers.ts'
import { Workspace } from '../../bench/workspace.ts'
import { openEmbeddedStore } from '../../src/db/embedded.ts'
import { migrate } from '../../src/db/migrate.ts'
import { MASTER_KEY, startTollgate } from '../support/tollgate.ts'
import { startUpstream } from '../support/upstream.ts'
import { type AnswerDifference, differencesOf, type HttpAnswer } from './litellm-differences.ts'
import { litellmMembers, missingMembers } from './litellm-members.ts'
import { litellmReason } from './litellm-reasons.ts'
import { type Asked, litellmRequests } from './litellm-requests.ts'

interface Found {
  reason: string | null
  times: number
  first: string
}

/** Returns the exit code. @param show what a line has to have to be shown with both answers. */
export async function compareLitellm({ show }: { show: string | null }): Promise<number> {
  const workspace = await Workspace.open()
  try {
    return await compare(workspace, show)
  } finally {
    await workspace.close()
  }
}

async function compare(workspace: Workspace, show: string | null): Promise<number> {
  const upstream = await startUpstream()
  workspace.defer(() => upstream.close())
  const config = configuration(upstream.url)
  const theirs = await startLitellmWith(workspace, config, {
    workers: 1,
    key: MASTER_KEY,
    env: { SCRIPTED_API_KEY: 'sk-scripted', LITELLM_MASTER_KEY: MASTER_KEY },
  })
  const ours = await openTollgate(workspace, config)
  const requests = litellmRequests()
  const found = new Map<string, Found>()
  let same = 0
  for (const asked of requests) {
    upstream.respond(asked.upstream)
    const answers = { ours: await ask(ours, asked), theirs: await ask(theirs.origin, asked) }
    const differences = differencesOf(answers)
    if (differences.length === 0) same += 1
    for (const difference of differences) note(found, asked, difference)
    if (show !== null && asked.kind.includes(show))
      process.stdout.write(`${JSON.stringify({ asked, answers }, null, 1)}\n`)
  }
  const byPath = await missingMembers(
    (asked) => ask(ours, { kind: '', upstream: 'silence', ...asked }),
    await litellmMembers(python()),
  )
  for (const { path, missing } of byPath)
    for (const name of missing)
      note(found, { kind: path } as Asked, { what: `member ${name}`, ours: 'missing', theirs: 'there' })
  return report(requests.length, same, found)
}

function python(): string {
  return join(peersFolder(), 'litellm', 'bin', 'python')
}

function note(found: Map<string, Found>, asked: Asked, difference: AnswerDifference): void {
  const reason = litellmReason(difference, asked)
  const line = `${difference.what}: ${difference.ours} | ${difference.theirs}`
  const name = `${reason ?? ''}\n${reason === null ? `${asked.kind} ` : ''}${line}`
  const known = found.get(name)
  if (known !== undefined) known.times += 1
  else found.set(name, { reason, times: 1, first: `${asked.kind}: ${line}` })
}

function report(count: number, same: number, found: ReadonlyMap<string, Found>): number {
  const all = [...found.values()]
  process.stdout.write(`${count} requests: ${same} the same. Each line: Tollgate | LiteLLM\n`)
  const reasons = Map.groupBy(
    all.filter(({ reason }) => reason !== null),
    ({ reason }) => reason,
  )
  for (const [reason, those] of reasons) {
    process.stdout.write(`\n${those.reduce((sum, { times }) => sum + times, 0)} x ${reason}\n`)
    for (const { times, first } of those) process.stdout.write(`    ${times} x ${first}\n`)
  }
  const unexplained = all.filter(({ reason }) => reason === null)
  for (const { times, first } of unexplained) process.stdout.write(`WITHOUT A REASON ${times} x ${first}\n`)
  return unexplained.length === 0 ? 0 : 1
}

function configuration(upstream: string): string {
  const params = {
    api_base: upstream,
    api_key: 'os.environ/SCRIPTED_API_KEY',
    input_cost_per_token: 0.000001,
    output_cost_per_token: 0.00001,
  }
  const model = (name: string, kind: string, mode: string) => ({
    model_name: name,
    litellm_params: { model: `${kind}/${name}`, ...params },
    model_info: { id: `${name}-1`, mode },
  })
  return JSON.stringify({
    model_list: [
      model('priced', 'openai', 'chat'),
      model('other', 'openai', 'chat'),
      // A provider that has no Responses: LiteLLM asks OpenAI's for messages.
      model('bridged', 'hosted_vllm', 'chat'),
      model('embeds', 'openai', 'embedding'),
      model('completes', 'text-completion-openai', 'completion'),
    ],
    litellm_settings: { num_retries: 0, telemetry: false },
    router_settings: { num_retries: 0, disable_cooldowns: true },
    general_settings: { master_key: MASTER_KEY },
  })
}

async function openTollgate(workspace: Workspace, config: string): Promise<string> {
  await chmod(workspace.directory, 0o711)
  const store = await openEmbeddedStore(join(workspace.directory, 'tollgate'))
  workspace.defer(() => store.close())
  await migrate(store.url)
  const tollgate = await startTollgate({ databaseUrl: store.url, config, flags: ['--log-level', 'error'] })
  workspace.defer(() => tollgate.stop())
  return tollgate.url
}

async function ask(origin: string, { method, path, key = MASTER_KEY, headers = {}, body }: Asked): Promise<HttpAnswer> {
  const own = Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, value === 'MASTER' ? MASTER_KEY : value]),
  )
  const answer = await fetch(`${origin}${path}`, {
    method,
    headers: {
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
      ...own,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  return { status: answer.status, headers: Object.fromEntries(answer.headers), body: await answer.text() }
}
