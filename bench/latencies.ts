/** Milliseconds of many calls, kept exactly: a million of them are 8 MB. */
import { quantile } from './spread.ts'

export interface LatencySummary {
  count: number
  p50: number
  p95: number
  p99: number
  max: number
}

export class Latencies {
  private values = new Float64Array(65_536)
  private count = 0

  add(milliseconds: number): void {
    if (this.count === this.values.length) {
      const larger = new Float64Array(this.count * 2)
      larger.set(this.values)
      this.values = larger
    }
    this.values[this.count] = milliseconds
    this.count += 1
  }

  get isEmpty(): boolean {
    return this.count === 0
  }

  summary(): LatencySummary {
    const sorted = this.values.slice(0, this.count).sort()
    const at = (share: number) => quantile(sorted, share)
    return { count: this.count, p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) }
  }
}
