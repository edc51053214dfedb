/** The ledger alone in a process: clients that hold and settle one call after another. */
import { randomUUIDv7 } from 'node:crypto'
import { TollgateError } from '../src/http/errors.ts'
import { keyLimit } from '../src/ledger/key-limit.ts'
import type { Ledger, Limit, Payer } from '../src/ledger/ledger.ts'
import { answerAsks } from './answer-asks.ts'
import { Latencies, type LatencySummary } from './latencies.ts'
import { openLedger } from './open-ledger.ts'
import { type SampleCall, sampleCalls } from './sample-calls.ts'
import { seededRandom } from './shuffle.ts'

export interface LedgerPlan {
  clients: number
  /** Calls are spread by chance over the first so many payers. */
  organizations: number
  /** So many more clients, of the first payer, call all the time by a key whose budget is used up. */
  exhausted: number
  warmSeconds: number
  seconds: number
  seed: number
}

export interface LedgerResult {
  /** In the measured time: calls that were held and settled. */
  pairs: number
  seconds: number
  pair: LatencySummary
  hold: LatencySummary
  /** Of everything since the worker started, the warm-up included: what must be on the books. */
  booked: { calls: number; charged: bigint }
  /** Settlements that were answered before they were on the books. */
  pending: number
  /** Calls that failed, by what the ledger said. */
  failures: Record<string, number>
  /** Of the exhausted key, in all. */
  refused: number
}

export interface LedgerWorker {
  open(store: { url: string; spoolDirectory: string; payers: Payer[] }): Promise<void>
  run(plan: LedgerPlan): Promise<LedgerResult>
  close(value: null): Promise<void>
}

class LedgerLoad {
  readonly pair = new Latencies()
  readonly hold = new Latencies()
  readonly failures: Record<string, number> = {}
  pending = 0
  private readonly ledger: Ledger
  private readonly payers: readonly Payer[]
  private readonly booked: { calls: number; charged: bigint }

  constructor(ledger: Ledger, payers: readonly Payer[], booked: { calls: number; charged: bigint }) {
    this.ledger = ledger
    this.payers = payers
    this.booked = booked
  }

  /** One client: the next call starts when the last one is settled. */
  async client(random: () => number, from: number, until: number): Promise<void> {
    for (let start = performance.now(); start < until; start = performance.now()) {
      const payer = this.payers[Math.floor(random() * this.payers.length)]
      const call = CALLS[Math.floor(random() * CALLS.length)]
      if (payer === undefined || call === undefined) throw new Error('no payers')
      try {
        const held = await this.one(payer, call)
        const end = performance.now()
        // By its end: what was in flight when the measuring began is made up for by what is when it stops.
        if (end < from || end > until) continue
        this.hold.add(held - start)
        this.pair.add(end - start)
      } catch (error) {
        if (!(error instanceof TollgateError)) throw error
        this.failures[error.code] = (this.failures[error.code] ?? 0) + 1
      }
    }
  }

  /** One client whose key is used up. @returns how often it was refused. */
  async refusedClient(until: number): Promise<number> {
    const [payer] = this.payers
    const [call] = CALLS
    if (payer === undefined || call === undefined) throw new Error('no payers')
    const { organizationId, userId, keyId } = payer
    const { serviceType, serviceName } = call.settlement
    const who = { organizationId, userId, keyId, serviceType, serviceName, requestId: null }
    for (let refused = 0; ; refused += 1) {
      if (performance.now() >= until) return refused
      try {
        await this.ledger.hold({ ...call.hold, ...who, callId: randomUUIDv7(), limits: [USED_UP] })
        throw new Error('a key without budget has a hold')
      } catch (error) {
        if (!(error instanceof TollgateError) || error.code !== 'budget_exceeded') throw error
      }
    }
  }

  /** Resolves when the hold is there. */
  private async one({ organizationId, userId, keyId }: Payer, call: SampleCall): Promise<number> {
    const { serviceType, serviceName } = call.settlement
    const who = { organizationId, userId, keyId, callId: randomUUIDv7(), serviceType, serviceName, requestId: null }
    await this.ledger.hold({ ...call.hold, ...who, limits: limitsOf(who) })
    const held = performance.now()
    const settled = await this.ledger.settle({ ...call.settlement, ...who })
    this.booked.calls += 1
    this.booked.charged += call.settlement.charge
    if (settled.state === 'pending') this.pending += 1
    else if (settled.charged !== call.settlement.charge) throw new Error(`${who.callId} was charged ${settled.charged}`)
    return held
  }
}

/** Its key, a quota of calls and a budget of its team: none of them is near. */
function limitsOf({ organizationId, userId, keyId }: Payer): readonly Limit[] {
  return [
    ...keyLimit(keyId),
    { kind: 'quota', id: `${organizationId}/${userId}`, window: 'day', unit: 'calls', amount: FAR },
    { kind: 'team', id: organizationId, window: 'month', unit: 'credits', amount: FAR },
  ]
}

const FAR = 1_000_000_000_000_000n
const USED_UP: Limit = { kind: 'key', id: 'used up', window: null, unit: 'credits', amount: 0n }
const CALLS = sampleCalls(64)
const DRAIN_MS = 60_000
let open: { ledger: Ledger; payers: readonly Payer[] } | null = null
const booked = { calls: 0, charged: 0n }

async function run(plan: LedgerPlan): Promise<LedgerResult> {
  if (open === null) throw new Error('the ledger is not open')
  const load = new LedgerLoad(open.ledger, open.payers.slice(0, plan.organizations), booked)
  const from = performance.now() + plan.warmSeconds * 1000
  const until = from + plan.seconds * 1000
  const clients = Array.from({ length: plan.clients }, (_, i) =>
    load.client(seededRandom(plan.seed * 1_000 + i), from, until),
  )
  const refused = Array.from({ length: plan.exhausted }, () => load.refusedClient(until))
  await Promise.all(clients)
  const refusals = (await Promise.all(refused)).reduce((sum, count) => sum + count, 0)
  if (!(await open.ledger.drain(DRAIN_MS))) throw new Error('settlements were not on the books a minute after the load')
  const { pending, failures } = load
  const pair = load.pair.summary()
  return {
    pairs: pair.count,
    seconds: plan.seconds,
    pair,
    hold: load.hold.summary(),
    booked,
    pending,
    failures,
    refused: refusals,
  }
}

answerAsks<LedgerWorker>({
  async open({ url, spoolDirectory, payers }) {
    const ledger = await openLedger(url, spoolDirectory, (what, error) => {
      process.stderr.write(`${what}: ${error instanceof Error ? error.message : error}\n`)
    })
    open = { ledger, payers }
  },
  run,
  async close() {
    await open?.ledger.close()
  },
})
