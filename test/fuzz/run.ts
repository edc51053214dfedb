/**
 * npm run fuzz: requests nobody would send and answers no provider would give, against the running product, for two minutes. Exit
 * status 1 where one of them gets a 500, 502 or 504 of ours, or no answer, or throws outside of its call; where a hold stays open; or
 * where the books do not add up afterwards. `--seed N` makes the same ones again, `--seconds N` sets how long.
 */
import { parseArgs } from 'node:util'
import fc from 'fast-check'
import { Agent, request } from 'undici'
import { attackConfig } from '../attack/config.ts'
import { type Stage, withStage } from '../attack/stage.ts'
import { chat } from '../support/upstream-answers.ts'
import { type FuzzedAnswer, fuzzedAnswer } from './answers.ts'
import { type RawBytes, rawBytes } from './raw-bytes.ts'
import { type FuzzedRequest, fuzzedRequest } from './requests.ts'
import { sendRaw } from './send-raw.ts'

const CREDITS = 10n ** 15n
const OURS = new Set([500, 502, 504])
/** Nothing here takes longer but by a mistake; the slowest answer is one that is tried again after a pause of seconds. */
const ANSWER_MS = 30_000
const HOLDS_MS = 10_000

interface Run {
  stage: Stage
  key: string
  agent: Agent
  /** Answers by status, of the kind at hand; 0 for none. */
  statuses: Map<number, number>
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { seed: { type: 'string' }, seconds: { type: 'string', default: '120' } } })
  const seed = Number(values.seed ?? Date.now() % 2 ** 31)
  const seconds = Number(values.seconds)
  console.log(`seed ${seed}: npm run fuzz -- --seed ${seed} --seconds ${seconds}`)
  const { result: problems, findings } = await withStage(impatient, async (stage) => {
    const { keys } = await stage.payer('platform', CREDITS)
    const key = keys[0]!
    const run: Run = {
      stage,
      key,
      statuses: new Map(),
      agent: new Agent({ bodyTimeout: ANSWER_MS, headersTimeout: ANSWER_MS }),
    }
    const share = (seconds * 1_000) / 3
    const found = [
      await check(run, 'requests', fuzzedRequest, (one) => tryRequest(run, one), share, seed),
      await check(run, 'raw bytes', rawBytes(key), (raw) => tryRaw(run, raw), share / 4, seed),
      await check(run, 'answers', fuzzedAnswer, (one) => tryAnswer(run, one), share * 1.75, seed),
      ...(await afterwards(run)),
    ].filter((problem) => problem !== null)
    await run.agent.destroy()
    return found
  })
  for (const problem of problems) console.log(`\nBROKEN: ${problem}`)
  console.log(`\n${problems.length} promises broken; the audit finds ${findings} differences; seed ${seed}`)
  return problems.length === 0 && findings === 0 ? 0 : 1
}

/** No pause before a second attempt: there would be a few hundred tries where there are thousands. */
function impatient(url: string): string {
  const config = JSON.parse(attackConfig(url)) as Record<string, unknown>
  return JSON.stringify({ ...config, litellm_settings: { num_retries: 0 } })
}

/** @throws where it is a failure of ours. */
function judge({ statuses }: Run, status: number, text: string): void {
  statuses.set(status, (statuses.get(status) ?? 0) + 1)
  if (OURS.has(status)) throw new Error(`${status}: ${text.slice(0, 300)}`)
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
  const answered = [...run.statuses]
    .sort(([a], [b]) => a - b)
    .map(([status, count]) => `${status === 0 ? 'none' : status} ${count}`)
  console.log(`${what}: ${details.numRuns} tried, answered ${answered.join(', ')}`)
  run.statuses.clear()
  return details.failed ? `${what}: ${fc.defaultReportMessage(details)?.slice(0, 4_000)}` : null
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
  const text = await answer.body.text()
  judge(run, answer.statusCode, text)
}

async function tryRaw(run: Run, raw: RawBytes): Promise<void> {
  const { hostname, port } = new URL(run.stage.tollgate.url)
  run.stage.upstream.respond(chat())
  const answer = await sendRaw(hostname, Number(port), raw)
  judge(run, Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0), answer)
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
  const text = await answer.body.text()
  judge(run, answer.statusCode, text)
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
