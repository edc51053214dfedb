/**
 * One set of numbers of all workers. What a worker counted stays counted when it is gone, or a counter would go down and be taken for
 * one that began anew: what it said last, which of one that was killed is what the last scrape saw.
 */
import { AggregatorRegistry, Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import type { MetricNumbers, PrintedMetrics } from '../observe/metrics.ts'

/** Sums of floats that are decimals of credits. */
const CREDITS = 'tollgate_credits_charged_total'
const STARTED = 'process_start_time_seconds'

export interface MetricsSum {
  /** A worker that is gone, and what it said last. */
  keep(last: MetricNumbers): Promise<void>
  /** @param read of those that run. */
  print(read: readonly MetricNumbers[]): Promise<PrintedMetrics>
  restarted(): void
}

/** @param serving how many workers do. */
export function createMetricsSum(serving: () => number): MetricsSum {
  const own = createOwnMetrics(serving)
  let gone: MetricNumbers = []

  return {
    async keep(last) {
      const counts = usable(last).filter(({ type }) => isCount(type))
      gone = await sumOf([gone, counts]).getMetricsAsJSON()
    },
    async print(read) {
      const sum = sumOf([await own.read(), gone, ...read.map(usable)])
      const credits = await sum.getSingleMetric(CREDITS)?.get()
      for (const value of credits?.values ?? []) value.value = Math.round(value.value * 1e6) / 1e6
      return { contentType: sum.contentType, text: await sum.metrics() }
    },
    restarted: own.restarted,
  }
}

/** Of the primary itself, whose memory and time belong to the whole. */
function createOwnMetrics(serving: () => number) {
  const register = new Registry()
  collectDefaultMetrics({ register })
  new Gauge({
    name: 'tollgate_workers',
    help: 'Workers that serve.',
    registers: [register],
    collect() {
      this.set(serving())
    },
  })
  const restarts = new Counter({
    name: 'tollgate_worker_restarts_total',
    help: 'Workers that ended unasked and were replaced.',
    registers: [register],
  })
  return {
    restarted: () => restarts.inc(),
    async read(): Promise<MetricNumbers> {
      const all = await register.getMetricsAsJSON()
      // It serves nobody: its event loop and its heap would water down theirs.
      const shown = all.filter(({ name }) => !name.startsWith('nodejs_'))
      return shown.map((one) => (one.name === STARTED ? { ...one, aggregator: 'first' as const } : one))
    },
  }
}

function sumOf(read: MetricNumbers[]): Registry {
  // Missing in its types: numbers as they are read.
  return AggregatorRegistry.aggregate(read as unknown as object[])
}

/** What was NaN is null in JSON. */
function usable(read: MetricNumbers): MetricNumbers {
  return read.map((one) => ({ ...one, values: one.values.filter(({ value }) => typeof value === 'number') }))
}

/** In the types a number, in what is read a word. */
function isCount(type: unknown): boolean {
  return type === 'counter' || type === 'histogram'
}
