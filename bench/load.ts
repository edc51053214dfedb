/** The clients, as a process: so many connections, each with one call at a time and the next one as soon as it is answered. */
import { setTimeout as sleep } from 'node:timers/promises'
import { answerAsks } from './answer-asks.ts'
import { clock, createStampReader } from './chunk-stamps.ts'
import { Latencies, type LatencySummary } from './latencies.ts'
import { type Answer, LoadConnection } from './load-connection.ts'
import { KINDS, type Kind, requestBody } from './provider-answers.ts'

export interface LoadPlan {
  /** http://127.0.0.1:PORT */
  origin: string
  /** Bearer tokens; a connection keeps to one, as an application does. */
  keys: string[]
  /** Sent with every call. @default none */
  headers?: Record<string, string>
  /** What is called, in turn. */
  kinds: Kind[]
  connections: number
  warmSeconds: number
  /** How long is measured after that, or how many calls are made in all; whichever comes first. */
  seconds: number
  calls: number
  /** Connections begin one after another, all within so many milliseconds. @default at once */
  withinMs?: number
}

export interface LoadResult {
  /** In the measured time: calls answered in whole with 200. */
  perSecond: number
  /** To the last byte, and to the first byte of the body. */
  whole: LatencySummary
  first: LatencySummary
  /** From the sending of a chunk by the provider to its arrival here; null where no chunk said when it was sent. */
  chunks: LatencySummary | null
  /** Of all calls, the warm-up's included. */
  answered: Record<Kind, number>
  pending: number
  /** By status; 'broken' where the answer was cut off. With one example. */
  failures: Record<string, number>
  example: string | null
}

export interface LoadWorker {
  run(plan: LoadPlan): Promise<LoadResult>
}

/** A client in front of a wall must not fill the report. */
const FAILURES_MAX = 1_000

class Load {
  private readonly plan: LoadPlan
  private readonly whole = new Latencies()
  private readonly first = new Latencies()
  private readonly chunks = new Latencies()
  private readonly answered = Object.fromEntries(KINDS.map((kind) => [kind, 0])) as Record<Kind, number>
  private readonly failures: Record<string, number> = {}
  private failed = 0
  private pending = 0
  private started = 0
  private example: string | null = null
  private from = 0
  private until = 0

  constructor(plan: LoadPlan) {
    this.plan = plan
  }

  async run(): Promise<LoadResult> {
    const { plan } = this
    const connections = Array.from({ length: plan.connections }, () => this.connection())
    await Promise.all(connections.map((connection) => connection.open()))
    this.from = performance.now() + plan.warmSeconds * 1000
    this.until = this.from + plan.seconds * 1000
    await Promise.all(connections.map((connection, i) => this.client(connection, i)))
    const measured = (Math.min(performance.now(), this.until) - this.from) / 1000
    for (const connection of connections) connection.close()
    const { answered, pending, failures, example } = this
    const whole = this.whole.summary()
    return {
      perSecond: whole.count / measured,
      whole,
      first: this.first.summary(),
      chunks: this.chunks.isEmpty ? null : this.chunks.summary(),
      answered,
      pending,
      failures,
      example,
    }
  }

  private connection(): LoadConnection {
    const { plan } = this
    if (!plan.kinds.includes('paced')) return new LoadConnection(plan.origin)
    let now = 0
    const read = createStampReader((sentAt) => this.chunks.add((now - sentAt) / 1e6))
    return new LoadConnection(plan.origin, (piece) => {
      now = clock()
      read(piece)
    })
  }

  private async client(connection: LoadConnection, i: number): Promise<void> {
    const { plan } = this
    if (plan.withinMs !== undefined) await sleep((i * plan.withinMs) / plan.connections)
    const key = plan.keys[i % plan.keys.length] ?? ''
    const requests = plan.kinds.map((kind) => ({ kind, bytes: requestBytes(plan, key, kind) }))
    for (let turn = i; this.started < plan.calls && this.failed < FAILURES_MAX; turn += 1) {
      if (performance.now() >= this.until) return
      const request = requests[turn % requests.length]
      if (request === undefined) return
      this.started += 1
      this.record(request.kind, await connection.call(request.kind, request.bytes))
    }
  }

  private record(kind: Kind, answer: Answer): void {
    if (answer.status !== 200) {
      const name = answer.status === 0 ? 'broken' : `${answer.status}`
      this.failures[name] = (this.failures[name] ?? 0) + 1
      this.failed += 1
      this.example ??= answer.text
      return
    }
    this.answered[kind] += 1
    if (answer.pending) this.pending += 1
    const now = performance.now()
    if (now < this.from || now > this.until) return
    this.whole.add(answer.whole)
    this.first.add(answer.first)
  }
}

function requestBytes({ origin, headers = {} }: LoadPlan, key: string, kind: Kind): Buffer {
  const body = requestBody(kind)
  const head = [
    'POST /v1/chat/completions HTTP/1.1',
    `host: ${new URL(origin).host}`,
    `authorization: Bearer ${key}`,
    'content-type: application/json',
    `content-length: ${body.length}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ]
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body])
}

answerAsks<LoadWorker>({ run: (plan) => new Load(plan).run() })
