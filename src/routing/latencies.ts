/** How fast a deployment was of late: streams to their first byte, other calls for each token they wrote. */

/** As many as LiteLLM keeps. */
const KEPT = 10

export interface Latencies {
  add(call: { stream: boolean; ms: number; outputTokens: number }): void
  /** The mean, in milliseconds; null where nothing recent is known. */
  of(stream: boolean): number | null
}

/** @param ttlMs how long one counts. @param now milliseconds. */
export function createLatencies(ttlMs: number, now: () => number): Latencies {
  const kept = { stream: [] as Sample[], whole: [] as Sample[] }
  const listOf = (stream: boolean) => (stream ? kept.stream : kept.whole)
  return {
    add({ stream, ms, outputTokens }) {
      const list = listOf(stream)
      list.push({ at: now(), value: stream ? ms : ms / Math.max(1, outputTokens) })
      if (list.length > KEPT) list.shift()
    },
    of(stream) {
      const recent = listOf(stream).filter(({ at }) => now() - at < ttlMs)
      return recent.length === 0 ? null : recent.reduce((sum, { value }) => sum + value, 0) / recent.length
    },
  }
}

interface Sample {
  at: number
  value: number
}
