/**
 * What a megabyte costs the proxy that was made to cost it most: for every hostile request and stream the tests know, in every
 * dialect, how long its event loop stood still in one go, and how much its memory grew, by the megabyte.
 */
import { randomBytes } from 'node:crypto'
import { request } from 'undici'
import { HOSTILE_BODIES } from '../test/support/hostile-bodies.ts'
import { HOSTILE_STREAMS } from '../test/support/hostile-streams.ts'
import { type ScriptedUpstream, startUpstream } from '../test/support/upstream.ts'
import { chat, rawStream } from '../test/support/upstream-answers.ts'
import { readLoopLag } from './event-loop-lag.ts'
import { processMemory } from './process-memory.ts'
import type { BenchmarkContext, Report } from './report.ts'
import { seed } from './seed.ts'
import { type RunningProxy, startProxy } from './start-proxy.ts'
import { figure, table } from './table.ts'
import { judge, showVerdicts, type Target } from './verdict.ts'

const MEGABYTE = 1024 * 1024
const SAMPLE_MS = 10
const MODELS = { openai: 'bench', anthropic: 'bench-anthropic', google: 'bench-gemini' } as const
type Dialect = keyof typeof MODELS
const STILL_MOST_MS = 100
const GROWTH_MOST_MB = 40
/** Honest, and as large as a body may be. */
const IMAGE_MB = 31.9
const IMAGE_STILL_MOST_MS = 50
const IMAGE = 'an image of 32 MB'

interface Case {
  name: string
  dialect: Dialect
  body: Buffer
  /** What the provider answers with; null for a plain answer. */
  stream: Buffer | null
}

interface Cost {
  name: string
  dialect: Dialect
  status: number
  megabytes: number
  /** By the megabyte. */
  stillMs: number
  growthMb: number
}

export async function benchHostile({ options, workspace, progress }: BenchmarkContext): Promise<Report> {
  progress.show('starting PostgreSQL and the proxy')
  const { url: databaseUrl, client } = await workspace.openDatabase()
  const [payer] = await seed(client, 1)
  const upstream = await startUpstream()
  workspace.defer(() => upstream.close())
  const nodeFlags = options.profile ? ['--cpu-prof'] : []
  const proxy = await startProxy(workspace, { databaseUrl, upstream: new URL(upstream.url).origin, nodeFlags })
  const costs: Cost[] = []
  const cases = casesOf().filter(({ name }) => options.only?.test(name) !== false)
  // The first call of a process compiles what all others use.
  for (const one of cases.slice(0, 1)) await measure(proxy, upstream, payer!.key, one)
  for (const one of cases) {
    progress.show(`${one.dialect}: ${one.name}`)
    costs.push(await measure(proxy, upstream, payer!.key, one))
  }
  const { rows } = await client.query<{ open: number; differences: number }>(
    `select (select count(*)::int from tollgate.ledger_holds where state = 'open') as open,
            (select count(*)::int from tollgate.ledger_audit()) as differences`,
  )
  const { open, differences } = rows[0]!
  const problems = [
    ...(open === 0 ? [] : [`${open} holds stay open`]),
    ...(differences === 0 ? [] : [`the audit finds ${differences} differences`]),
    ...costs.filter(({ status }) => status === 500).map(({ name, dialect }) => `${dialect}: ${name}: answered 500`),
  ]
  const verdicts = judge([
    {
      what: 'longest stand-still a megabyte, ms',
      measured: [Math.max(...costs.map(({ stillMs }) => stillMs))],
      unit: '',
      atMost: STILL_MOST_MS,
    },
    {
      what: 'most memory a megabyte, MB',
      measured: [Math.max(...costs.map(({ growthMb }) => growthMb))],
      unit: '',
      atMost: GROWTH_MOST_MB,
    },
    ...imageTargets(costs),
  ])
  return { sections: [show(costs), showVerdicts(verdicts)], verdicts, figures: costs, problems }
}

function imageTargets(costs: readonly Cost[]): Target[] {
  const still = costs.filter(({ name }) => name === IMAGE).map(({ stillMs, megabytes }) => stillMs * megabytes)
  if (still.length === 0) return []
  return [
    {
      what: `longest stand-still of ${IMAGE}, ms`,
      measured: [Math.max(...still)],
      unit: '',
      atMost: IMAGE_STILL_MOST_MS,
    },
  ]
}

function imageBody(model: string): Buffer {
  const sign = Buffer.from('89504e470d0a1a0a', 'hex')
  const bytes = Buffer.concat([sign, randomBytes(Math.floor((IMAGE_MB * MEGABYTE * 3) / 4))])
  const url = `data:image/png;base64,${bytes.toString('base64')}`
  const content = [
    { type: 'text', text: 'What is this?' },
    { type: 'image_url', image_url: { url } },
  ]
  return Buffer.from(JSON.stringify({ model, messages: [{ role: 'user', content }] }))
}

function casesOf(): Case[] {
  const dialects = Object.keys(MODELS) as Dialect[]
  const images = dialects.map((dialect) => ({ name: IMAGE, dialect, body: imageBody(MODELS[dialect]), stream: null }))
  const requests = HOSTILE_BODIES.flatMap(({ name, make }) =>
    dialects.map((dialect) => ({ name, dialect, body: make(MEGABYTE, MODELS[dialect]), stream: null })),
  )
  const streams = HOSTILE_STREAMS.map(({ name, dialect, make }) => {
    const asked = { model: MODELS[dialect], stream: true, messages: [{ role: 'user', content: 'Hi' }] }
    return { name: `stream: ${name}`, dialect, body: Buffer.from(JSON.stringify(asked)), stream: make(MEGABYTE) }
  })
  return [...images, ...requests, ...streams]
}

async function measure(
  proxy: RunningProxy,
  upstream: ScriptedUpstream,
  key: string,
  { name, dialect, body, stream }: Case,
): Promise<Cost> {
  upstream.respond(stream === null ? chat() : rawStream([stream]))
  upstream.requests.length = 0
  await readLoopLag(proxy.origin)
  const before = await processMemory(proxy.pid, 'VmRSS')
  let most = before
  const sampling = setInterval(async () => {
    most = Math.max(most, await processMemory(proxy.pid, 'VmRSS'))
  }, SAMPLE_MS)
  const { statusCode, body: answer } = await request(`${proxy.origin}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
    body,
  })
  await answer.dump({ limit: Number.MAX_SAFE_INTEGER })
  clearInterval(sampling)
  const { max } = await readLoopLag(proxy.origin)
  const megabytes = Math.max(body.length, stream?.length ?? 0) / MEGABYTE
  return {
    name,
    dialect,
    status: statusCode,
    megabytes,
    stillMs: max / megabytes,
    growthMb: (most - before) / megabytes,
  }
}

/** The worst first. */
function show(costs: readonly Cost[]): string {
  const rows = costs
    .toSorted((a, b) => b.stillMs - a.stillMs)
    .map(({ name, dialect, status, megabytes, stillMs, growthMb }) => [
      name,
      dialect,
      `${status}`,
      figure(megabytes),
      figure(stillMs),
      figure(growthMb),
    ])
  return table(['made to cost', 'dialect', 'answer', 'MB', 'still, ms a MB', 'memory, MB a MB'], rows)
}
