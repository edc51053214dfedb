/**
 * npm run fuzz: requests nobody would send and answers no provider would give, against the running product, for two minutes. Exit
 * status 1 where one of them gets a 500, 502 or 504 of ours, or a 503 that says nothing of a provider, or a 429 or 503 that does
 * not say when to try again, or throws outside of its call; where a hold stays open; or where the books do not add up afterwards. `--seed N` makes
 * the same ones again, `--seconds N` sets how long.
 */
import { parseArgs } from 'node:util'
import fc from 'fast-check'
import { Agent, type Dispatcher, request } from 'undici'
import { attackConfig } from '../attack/config.ts'
import { type Stage, withStage } from '../attack/stage.ts'
import { MASTER_KEY } from '../support/tollgate.ts'
import { chat } from '../support/upstream-answers.ts'
import { type FuzzedAnswer, fuzzedAnswer } from './answers.ts'
import { type ManagementRequest, managementRequest } from './management.ts'
import { type RawBytes, rawBytes } from './raw-bytes.ts'
import { type FuzzedRequest, fuzzedRequest } from './requests.ts'
import { sendRaw } from './send-raw.ts'

const CREDITS = 10n ** 15n
const OURS = new Set([500, 502, 504])
/** Nothing here takes longer but by a mistake; the slowest answer is one that is tried again after a pause of seconds. */
const ANSWER_MS = 30_000
const HOLDS_MS = 10_000

/**
 * Why a call may be told 503 here: its provider failed, as it was told to. Any other is a limit of ours that nobody meant to meet, and
 * hides what lies behind it.
 */
const MEANT = /^provider_/

interface Run {
  stage: Stage
  key: string
  organization: string
  agent: Agent
  /** Answers by status, those of 503 by their code too, of the kind at hand; `none` where there was none. */
  answers: Map<string, number>
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { seed: { type: 'string' }, seconds: { type: 'string', default: '120' } } })
  const seed = Number(values.seed ?? Date.now() % 2 ** 31)
  const seconds = Number(values.seconds)
  console.log(`seed ${seed}: npm run fuzz -- --seed ${seed} --seconds ${seconds}`)
  const { result: problems, findings } = await withStage(impatient, async (stage) => {
    const { keys, organization } = await stage.payer('platform', CREDITS)
    const key = keys[0]!
    const run: Run = {
      stage,
      key,
      organization,
      answers: new Map(),
      agent: new Agent({ bodyTimeout: ANSWER_MS, headersTimeout: ANSWER_MS }),
    }
    const share = (seconds * 1_000) / 10
    // Management last: a request may be what takes its caller's rights away.
    const found = [
      await check(run, 'requests', fuzzedRequest, (one) => tryRequest(run, one), share * 3, seed),
      await check(run, 'raw bytes', rawBytes(key), (raw) => tryRaw(run, raw), share, seed),
      await check(run, 'answers', fuzzedAnswer, (one) => tryAnswer(run, one), share * 4, seed),
      await check(
        run,
        'management',
        managementRequest(organization),
        (one) => tryManagement(run, one),
        share * 2,
        seed,
      ),
      ...(await afterwards(run)),
    ].filter((problem) => problem !== null)
    await run.agent.destroy()
    return found
  })
  for (const problem of problems) console.log(`\nBROKEN: ${problem}`)
  console.log(`\n${problems.length} promises broken; the audit finds ${findings} differences; seed ${seed}`)
  return problems.length === 0 && findings === 0 ? 0 : 1
}

/** No pause before a second attempt, no limit a minute: there would be a few hundred tries where there are thousands. */
function impatient(url: string): string {
  const config = JSON.parse(attackConfig(url)) as { tollgate: Record<string, unknown> }
  const often = 1_000_000
  const rate_limits = { post_per_minute: often, get_per_minute: often, change_per_minute: often }
  return JSON.stringify({
    ...config,
    litellm_settings: { num_retries: 0 },
    tollgate: { ...config.tollgate, rate_limits },
  })
}

/** @throws where it is a failure of ours. */
function judge(
  { answers }: Run,
  { status, saysWhen, text }: { status: number; saysWhen: boolean; text: string },
): void {
  const code = status === 503 ? (/"code": ?"([^"]*)"/.exec(text)?.[1] ?? 'without a code') : null
  const shown = status === 0 ? 'none' : code === null ? `${status}` : `${status} (${code})`
  answers.set(shown, (answers.get(shown) ?? 0) + 1)
  const isOurs = OURS.has(status) || (code !== null && !MEANT.test(code))
  if (isOurs) throw new Error(`${shown}: ${text.slice(0, 300)}`)
  if ((status === 429 || status === 503) && !saysWhen)
    throw new Error(`${shown} does not say when to try again: ${text.slice(0, 300)}`)
}

/** What is wrong, with the smallest example; null where nothing is. */
async function check<T>(
  run: Run,
  what: string,
  arbitrary: fc.Arbitrary<T>,
  attempt: (one: T) => Promise<void>,
  milliseconds: number,
  seed: number,
): Promise<string | null> {
  const details = await fc.check(fc.asyncProperty(arbitrary, attempt), {
    seed,
    numRuns: Number.MAX_SAFE_INTEGER,
    interruptAfterTimeLimit: milliseconds,
    markInterruptAsFailure: false,
  })
  const answered = [...run.answers].sort(([a], [b]) => (a < b ? -1 : 1)).map(([shown, count]) => `${shown}: ${count}`)
  console.log(`${what}: ${details.numRuns} tried, answered ${answered.join(', ')}`)
  run.answers.clear()
  if (!details.failed) return null
  return `${what}: ${details.errorInstance}\n${fc.defaultReportMessage(details)?.slice(0, 4_000)}`
}

async function tryRequest(run: Run, { method, path, headers, body, withKey }: FuzzedRequest): Promise<void> {
  const { stage, key, agent } = run
  stage.upstream.respond(chat())
  const credential = withKey ? { authorization: `Bearer ${key}` } : {}
  const answer = await request(`${stage.tollgate.url}${path}`, {
    method: method as 'POST',
    headers: { 'content-type': 'application/json', ...headers, ...credential },
    body: method === 'GET' || method === 'HEAD' ? null : body,
    dispatcher: agent,
  })
  judge(run, await read(answer))
}

async function tryRaw(run: Run, raw: RawBytes): Promise<void> {
  const { hostname, port } = new URL(run.stage.tollgate.url)
  run.stage.upstream.respond(chat())
  const answer = await sendRaw(hostname, Number(port), raw)
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0)
  judge(run, { status, saysWhen: /^(?:retry-after: |x-should-retry: false)/im.test(answer), text: answer })
}

async function tryManagement(run: Run, { method, path, body, as }: ManagementRequest): Promise<void> {
  const { stage, agent } = run
  const credential = { owner: run.key, operator: MASTER_KEY, nobody: null }[as]
  const answer = await request(`${stage.tollgate.url}${path}`, {
    method: method as 'POST',
    headers: {
      'content-type': 'application/json',
      ...(credential === null ? {} : { authorization: `Bearer ${credential}` }),
    },
    body,
    dispatcher: agent,
  })
  judge(run, await read(answer))
}

async function read({ statusCode, headers, body }: Dispatcher.ResponseData) {
  // An answer that failed and was paid for all the same says not to try again.
  const saysWhen = headers['retry-after'] !== undefined || headers['x-should-retry'] === 'false'
  return { status: statusCode, saysWhen, text: await body.text() }
}

async function tryAnswer(run: Run, { model, stream, script }: FuzzedAnswer): Promise<void> {
  const { stage, key, agent } = run
  stage.upstream.respond(script)
  const answer = await request(`${stage.tollgate.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
    body: JSON.stringify({ model, stream, max_tokens: 50, messages: [{ role: 'user', content: 'Hi' }] }),
    dispatcher: agent,
  })
  judge(run, await read(answer))
}

/** Nothing is held any more, and nothing was thrown that had no owner. */
async function afterwards({ stage }: Run): Promise<(string | null)[]> {
  const end = performance.now() + HOLDS_MS
  const open = async () => {
    const { rows } = await stage.database.pool.query(
      "select count(*)::int as n from tollgate.ledger_holds where state = 'open'",
    )
    return (rows[0] as { n: number }).n
  }
  let left = await open()
  while (left > 0 && performance.now() < end) left = await open()
  const metrics = await (await request(`${stage.tollgate.url}/metrics`)).body.text()
  const counted = (name: string) =>
    Number(new RegExp(`^${name.replace(/[{}]/g, '\\$&')} (\\S+)$`, 'm').exec(metrics)?.[1])
  const unowned = counted('tollgate_unowned_errors_total')
  const internal = counted('tollgate_errors_total{code="internal_error"}')
  return [
    left === 0 ? null : `${left} holds stay open`,
    unowned === 0 ? null : `${unowned} errors had no owner:\n${loud(stage)}`,
    internal === 0 ? null : `${internal} errors nobody foresaw:\n${loud(stage)}`,
    mistaken(stage),
  ]
}

/** An error of our readers looks like a broken answer to a caller; its words tell. */
function mistaken({ tollgate }: Stage): string | null {
  const ours =
    /"provider_said":"[^"]*(?:Cannot |is not a function|is not iterable|is not defined|call stack|Invalid )[^"]*"/
  const found = ours.exec(tollgate.output())
  return found === null ? null : `an error of ours was taken for the provider's: ${found[0].slice(0, 300)}`
}

function loud({ tollgate }: Stage): string {
  const lines = tollgate
    .output()
    .split('\n')
    .filter((line) => line.includes('"level":"error"'))
  return lines.slice(0, 5).join('\n')
}

process.exitCode = await main()
