/**
 * What this process counts, for Prometheus. Labels have few values, all of them ours: never a model, a key, an organization, nor an
 * error code a provider made up. A scrape waits at most a second for the database and then goes out without what only it knows.
 */
import {
  Counter,
  collectDefaultMetrics,
  Gauge,
  Histogram,
  type MetricObjectWithValues,
  type MetricValue,
  Registry,
} from 'prom-client'
import { LIMITS, type Limit } from '../http/limit.ts'
import { createStateGauges, type Readings } from './state-gauges.ts'

/** Codes are written so; anything else is not one of ours. */
const CODE = /^[a-z][a-z0-9_]{1,49}$/

/** Alerts wait for these. They begin at 0, since a counter that begins at 1 shows no increase. */
const ALARMING = ['internal_error', 'provider_auth', 'provider_quota']

const OWN_TIME = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]
const LEDGER_TIME = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 30]
const PROVIDER_TIME = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120]
const BATCH_SIZES = [1, 2, 4, 8, 16, 32, 64, 128, 256]

/** Kinds of tokens; none is part of another. */
export type TokenKind =
  | 'input'
  | 'cache_read'
  | 'cache_write'
  | 'output'
  | 'reasoning'
  | 'audio_input'
  | 'audio_output'
  | 'image_output'

export interface CallNumbers {
  /** A provider's name, or `mock`. */
  provider: string
  outcome: string
  stream: boolean
  ownSeconds: number
  /** Of a stream: from the request's arrival to the provider's first byte. */
  firstByteSeconds: number | null
  /** Null where nothing was charged because nothing was consumed. */
  bill: CallBill | null
}

export interface CallBill {
  microcredits: bigint
  /** What the provider takes. */
  nanoDollars: bigint
  provenance: string
  tokens: Readonly<Record<TokenKind, number>>
  /** It was not on the books yet when the response went out. */
  pending: boolean
  /** The provider's usage did not add up. */
  mismatch: boolean
}

const TRACE_RESULTS = ['sent', 'failed', 'dropped'] as const
export type TraceResult = (typeof TRACE_RESULTS)[number]

const OUTBOX_RESULTS = ['sent', 'failed', 'dead'] as const
export type OutboxResult = (typeof OUTBOX_RESULTS)[number]

export interface Metrics {
  /** A call that was admitted and is over. */
  call(numbers: CallNumbers): void
  /** A response that failed. Counted once, by the first code told for it. */
  error(answer: object, code: string): void
  /** A limit that stands before calls refused something. */
  refused(limit: Limit): void
  /** A deployment that failed gets no calls for a while. */
  spared(): void
  /** What a provider may bill for calls whose end nobody knows, beyond what callers were charged. */
  atRisk(provider: string, reason: 'unknown', nanoDollars: bigint): void
  /** Spans for collectors: sent, refused or lost on the way, or dropped because too many waited. */
  spans(result: TraceResult, count: number): void
  /** Events for consumers: taken, refused for now, given up. */
  outbox(consumer: string, result: OutboxResult, count: number): void
  /** An error outside of every call: there should be none. */
  unowned(): void
  hold(seconds: number): void
  settle(seconds: number): void
  batch(kind: string, size: number): void
  /** Holds of dead processes that were closed, and the credits charged for them. */
  recovered(holds: { charged: number; released: number }, microcredits: bigint): void
  print(): Promise<PrintedMetrics>
  /** As they can be summed with those of other processes. */
  read(): Promise<MetricNumbers>
}

export interface PrintedMetrics {
  contentType: string
  text: string
}

export type MetricNumbers = MetricObjectWithValues<MetricValue<string>>[]

export function createMetrics(version: string, readings: Readings): Metrics {
  const register = new Registry()
  collectDefaultMetrics({ register })
  new Gauge({
    name: 'tollgate_build_info',
    help: 'Always 1; which Tollgate and which Node this is.',
    labelNames: ['version', 'node'],
    registers: [register],
    aggregator: 'first',
  }).set({ version, node: process.version }, 1)
  const calls = createCallMetrics(register)
  const ledger = createLedgerMetrics(register)
  const state = createStateGauges(register, readings)
  new Counter({
    name: 'tollgate_log_lines_dropped_total',
    help: 'Lines of the log that nobody took: their reader was too slow, or gone.',
    registers: [register],
    collect() {
      this.reset()
      this.inc(readings.logDropped())
    },
  })
  const errors = new Counter({
    name: 'tollgate_errors_total',
    help: 'Answers that failed, by the stable error code; provider_* is what a provider did.',
    labelNames: ['code'],
    registers: [register],
  })
  for (const code of ALARMING) errors.inc({ code }, 0)
  const refusals = new Counter({
    name: 'tollgate_refused_total',
    help: 'What the limits before calls refused: requests, or connections that were closed.',
    labelNames: ['limit'],
    registers: [register],
  })
  for (const limit of LIMITS) refusals.inc({ limit }, 0)
  const unowned = new Counter({
    name: 'tollgate_unowned_errors_total',
    help: 'Errors outside of every call: each is a mistake of ours that ended nothing, or made the process drain.',
    registers: [register],
  })
  const cooldowns = new Counter({
    name: 'tollgate_cooldowns_total',
    help: 'How often a deployment was spared because it failed; the log says which.',
    registers: [register],
  })
  const spans = new Counter({
    name: 'tollgate_spans_total',
    help: 'Spans of calls for collectors: sent, failed on the way, or dropped because too many waited.',
    labelNames: ['result'],
    registers: [register],
  })
  for (const result of TRACE_RESULTS) spans.inc({ result }, 0)
  const outbox = createOutboxCounter(register)
  const counted = new WeakSet<object>()
  return {
    call: calls.call,
    atRisk: calls.atRisk,
    error(answer, code) {
      if (counted.has(answer)) return
      counted.add(answer)
      errors.inc({ code: CODE.test(code) ? code : 'other' })
    },
    refused: (limit) => refusals.inc({ limit }),
    spared: () => cooldowns.inc(),
    spans: (result, count) => spans.inc({ result }, count),
    outbox,
    unowned: () => unowned.inc(),
    hold: ledger.hold,
    settle: ledger.settle,
    batch: ledger.batch,
    recovered(holds, microcredits) {
      ledger.recovered(holds)
      calls.charged('none', 'recovered', microcredits)
    },
    async print() {
      await state.read()
      return { contentType: register.contentType, text: await register.metrics() }
    },
    async read() {
      await state.read()
      return register.getMetricsAsJSON()
    },
  }
}

function createOutboxCounter(register: Registry) {
  const events = new Counter({
    name: 'tollgate_outbox_events_total',
    help: 'Events for consumers: sent, failed (and tried again), dead (given up).',
    labelNames: ['consumer', 'result'],
    registers: [register],
  })
  return (consumer: string, result: OutboxResult, count: number): void => {
    // They begin at 0: a counter that begins at 1 shows no increase.
    for (const each of OUTBOX_RESULTS) events.inc({ consumer, result: each }, each === result ? count : 0)
  }
}

function createCallMetrics(register: Registry) {
  const registers = [register]
  const counter = <L extends string>(name: string, help: string, labelNames: L[]) =>
    new Counter({ name, help, labelNames, registers })
  const calls = counter('tollgate_calls_total', 'Calls that were admitted and are over.', [
    'provider',
    'outcome',
    'stream',
  ])
  const tokens = counter('tollgate_tokens_total', 'Tokens charged for; no kind is part of another.', [
    'provider',
    'kind',
  ])
  const mismatches = counter('tollgate_usage_mismatches_total', "Answers whose usage didn't add up.", ['provider'])
  const pending = counter(
    'tollgate_pending_settlements_total',
    'Answers that went out before their charge was booked.',
    [],
  )
  const disputed = counter('tollgate_disputed_total', 'Charges beyond belief, booked at the quote.', [])
  const { charged, atRisk } = createMoneyMetrics(registers)
  const own = new Histogram({
    name: 'tollgate_overhead_seconds',
    help: 'Time of a call that was not spent waiting for the provider, hold and settlement included.',
    buckets: OWN_TIME,
    registers,
  })
  const firstByte = new Histogram({
    name: 'tollgate_first_byte_seconds',
    help: "Streams: from the request to the provider's first byte.",
    labelNames: ['provider'],
    buckets: PROVIDER_TIME,
    registers,
  })

  function billed(provider: string, bill: CallBill): void {
    charged(provider, bill.provenance, bill.microcredits)
    for (const kind in bill.tokens) {
      const count = bill.tokens[kind as TokenKind]
      if (count > 0) tokens.inc({ provider, kind }, count)
    }
    if (bill.pending) pending.inc()
    if (bill.mismatch) mismatches.inc({ provider })
    if (bill.provenance !== 'disputed') return
    disputed.inc()
    if (bill.nanoDollars > bill.microcredits) atRisk(provider, 'disputed', bill.nanoDollars - bill.microcredits)
  }

  return {
    charged,
    atRisk,
    call({ provider, outcome, stream, ownSeconds, firstByteSeconds, bill }: CallNumbers) {
      calls.inc({ provider, outcome, stream: stream ? 'true' : 'false' })
      own.observe(ownSeconds)
      if (firstByteSeconds !== null) firstByte.observe({ provider }, firstByteSeconds)
      if (bill !== null) billed(provider, bill)
    },
  }
}

function createMoneyMetrics(registers: Registry[]) {
  const charges = exactCounter(registers, {
    name: 'tollgate_credits_charged_total',
    help: 'Credits charged by this process; 1 credit is $0.001.',
    labelNames: ['provider', 'provenance'],
    inOne: 1e6,
  })
  const risks = exactCounter(registers, {
    name: 'tollgate_at_risk_dollars_total',
    help: 'Dollars a provider may bill beyond what callers were charged: for calls whose end nobody knows (unknown), at most, and as stated beyond belief (disputed).',
    labelNames: ['provider', 'reason'],
    inOne: 1e9,
  })
  return {
    charged: (provider: string, provenance: string, microcredits: bigint) =>
      charges({ provider, provenance }, microcredits),
    atRisk: (provider: string, reason: 'unknown' | 'disputed', nanoDollars: bigint) =>
      risks({ provider, reason }, nanoDollars),
  }
}

/** Sums up integers, of which `inOne` are one of what it shows: a sum of floats would drift away from the books. */
function exactCounter<Label extends string>(
  registers: Registry[],
  { inOne, ...shown }: { name: string; help: string; labelNames: Label[]; inOne: number },
) {
  const sums = new Map<string, { labels: Record<Label, string>; amount: bigint }>()
  new Counter({
    ...shown,
    registers,
    collect() {
      this.reset()
      for (const { labels, amount } of sums.values()) this.inc(labels, Number(amount) / inOne)
    },
  })
  return (labels: Record<Label, string>, amount: bigint): void => {
    const key = Object.values(labels).join(' ')
    const sum = sums.get(key)
    if (sum === undefined) sums.set(key, { labels, amount })
    else sum.amount += amount
  }
}

function createLedgerMetrics(register: Registry) {
  const registers = [register]
  const time = (name: string, help: string) => new Histogram({ name, help, buckets: LEDGER_TIME, registers })
  const hold = time('tollgate_hold_duration_seconds', 'From asking for a hold to its answer, refusals included.')
  const settle = time('tollgate_settle_seconds', 'From a charge to the books, or to the spool after 250 ms.')
  const batch = new Histogram({
    name: 'tollgate_batch_size',
    help: 'Elements of a batch the database answered.',
    labelNames: ['kind'],
    buckets: BATCH_SIZES,
    registers,
  })
  const recovered = new Counter({
    name: 'tollgate_recovered_holds_total',
    help: 'Holds of dead processes closed by this one.',
    labelNames: ['result'],
    registers,
  })
  for (const result of ['charged', 'released']) recovered.inc({ result }, 0)
  return {
    hold: (seconds: number) => hold.observe(seconds),
    settle: (seconds: number) => settle.observe(seconds),
    batch: (kind: string, size: number) => batch.observe({ kind }, size),
    recovered({ charged, released }: { charged: number; released: number }) {
      recovered.inc({ result: 'charged' }, charged)
      recovered.inc({ result: 'released' }, released)
    },
  }
}
