/**
 * What it costs a call to know who is calling: statements, commands to Redis and cryptographic operations of a thousand calls of one
 * caller, who is known already; without limits of a minute and with them, and while Redis does not respond.
 */
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { startRedis } from '../test/support/redis.ts'
import { checkBooks } from './check-books.ts'
import type { Work } from './count-work.ts'
import type { LoadResult, LoadWorker } from './load.ts'
import { chargeOf } from './provider-answers.ts'
import type { BenchmarkContext, Report } from './report.ts'
import { seed } from './seed.ts'
import { startProxy } from './start-proxy.ts'
import { startWorker } from './start-worker.ts'
import { table } from './table.ts'
import type { UpstreamWorker } from './upstream.ts'
import { judge, showVerdicts } from './verdict.ts'

const CALLS = 1_000
const WARM_UP_CALLS = 100
const COUNTER = new URL('./count-work.ts', import.meta.url).href
/** A caller is looked up again twice a second, whatever it calls; a look-up that began before may end after. */
const LOOKUPS_PER_SECOND = 2
const LIMIT = 1_000_000

interface Counted extends Work {
  name: string
  redis: number
  seconds: number
  load: LoadResult
}

export async function benchCallers({ workspace, progress }: BenchmarkContext): Promise<Report> {
  progress.show('starting PostgreSQL, Redis, provider and proxy')
  const { url: databaseUrl, client } = await workspace.openDatabase()
  const [{ key = '', keyId = '' } = {}] = await seed(client, 1)
  const redis = await startRedis()
  workspace.defer(() => redis.stop())
  const asking = new Redis(redis.url)
  workspace.defer(() => asking.disconnect())
  const upstream = startWorker<UpstreamWorker>('./upstream.ts')
  workspace.defer(() => upstream.stop())
  const worker = startWorker<LoadWorker>('./load.ts')
  workspace.defer(() => worker.stop())
  const counts = join(workspace.directory, 'counts.json')
  const proxy = await startProxy(workspace, {
    databaseUrl,
    upstream: await upstream.ask('listen', null),
    nodeFlags: ['--import', COUNTER],
    env: { REDIS_URL: redis.url, BENCH_COUNTS: counts },
  })
  const run = (calls: number) =>
    worker.ask('run', {
      ...{ origin: proxy.origin, keys: [key], kinds: ['whole'], connections: 1 },
      ...{ warmSeconds: 0, seconds: Infinity, calls },
    })

  async function take(): Promise<Work> {
    await rm(counts, { force: true })
    process.kill(proxy.pid, 'SIGUSR2')
    for (;;) {
      const text = await readFile(counts, 'utf8').catch(() => null)
      if (text !== null) return JSON.parse(text)
      await sleep(5)
    }
  }

  async function count(name: string, commands: () => Promise<number>): Promise<Counted> {
    progress.show(name)
    await run(WARM_UP_CALLS)
    const before = await commands()
    await take()
    const startedAt = performance.now()
    const load = await run(CALLS)
    const seconds = (performance.now() - startedAt) / 1000
    const work = await take()
    // Asking is a command itself.
    return { ...work, name, redis: Math.max(0, (await commands()) - before - 1), seconds, load }
  }

  const commands = async () => Number(/total_commands_processed:(\d+)/.exec(await asking.info('stats'))?.[1])
  const plain = await count('no limit of a minute', commands)
  await client.query('update tollgate.api_keys set requests_per_minute = $1 where id = $2', [LIMIT, keyId])
  // Long enough for the proxy to know.
  await sleep(1_100)
  const limited = await count('a limit of calls a minute', commands)
  redis.send('SIGSTOP')
  const silent = await count('the same, Redis silent', async () => 0)
  redis.send('SIGCONT')

  const all = [plain, limited, silent]
  const verdicts = judge([
    { what: 'hashes to know the caller of a call', measured: [plain, limited].map(hashes), unit: '', atMost: 1 },
    { what: 'other cryptography to know the caller', measured: [plain, limited].map(others), unit: '', atMost: 0 },
    { what: 'statements about callers, a second', measured: all.map(lookUps), unit: '', atMost: LOOKUPS_PER_SECOND },
    { what: 'commands to Redis a call, without a limit', measured: [plain.redis / CALLS], unit: '', atMost: 0 },
    { what: 'added to the median while Redis is silent, ms', measured: [added(silent, limited)], unit: '', atMost: 5 },
  ])
  progress.show('checking the books')
  const calls = all.length * (WARM_UP_CALLS + CALLS)
  const books = await checkBooks(client, { calls, charged: BigInt(calls) * chargeOf('whole') })
  const failed = all.flatMap(({ name, load }) =>
    load.answered.whole === CALLS
      ? []
      : [`${name}: ${load.answered.whole} of ${CALLS} calls were answered: ${load.example}`],
  )
  return {
    sections: [show(all), showCrypto(all), showVerdicts(verdicts)],
    verdicts,
    figures: all,
    problems: [...failed, ...books],
  }
}

function show(all: readonly Counted[]): string {
  const rows = all.map(({ name, callers, statements, redis, seconds, load }) => [
    ...[name, `${callers}`, `${statements}`, name.includes('silent') ? '-' : `${redis}`],
    ...[seconds.toFixed(1), load.whole.p50.toFixed(2)],
  ])
  const head = [
    `${CALLS} calls of one caller`,
    'statements about callers',
    'all statements',
    'Redis',
    'seconds',
    'p50 ms',
  ]
  return table(head, rows)
}

function showCrypto(all: readonly Counted[]): string {
  const names = [...new Set(all.flatMap(({ crypto }) => Object.keys(crypto)))].sort()
  const rows = names.map((name) => [name, ...all.map(({ crypto }) => `${(crypto[name] ?? 0) / CALLS}`)])
  return table(['operations a call, by folder', ...all.map(({ name }) => name)], rows)
}

const HASH = /^identity (?:createHash|hash)$/
/** In constant time with the hash of the master key: 32 bytes are compared, which is no cryptography. */
const COMPARISON = /^identity timingSafeEqual$/

function hashes(work: Work): number {
  return operations(work, (name) => HASH.test(name))
}

function others(work: Work): number {
  return operations(work, (name) => name.startsWith('identity ') && !HASH.test(name) && !COMPARISON.test(name))
}

/** A call. */
function operations({ crypto }: Work, isMeant: (name: string) => boolean): number {
  const meant = Object.entries(crypto).filter(([name]) => isMeant(name))
  return meant.reduce((sum, [, count]) => sum + count, 0) / CALLS
}

function lookUps({ callers, seconds }: Counted): number {
  return Math.max(0, callers - 1) / seconds
}

function added(silent: Counted, limited: Counted): number {
  return silent.load.whole.p50 - limited.load.whole.p50
}
