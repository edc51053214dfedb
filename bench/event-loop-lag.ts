/** How long the proxy's event loop was held up, as its own /metrics say: since they were last read, which reading them sets back. */
import { request } from 'undici'

/** Milliseconds. The loop is looked at every 10 ms; what it is late is the lag. */
export interface LoopLag {
  p50: number
  p99: number
  max: number
}

const RESOLUTION_MS = 10

export async function readLoopLag(origin: string): Promise<LoopLag> {
  const { statusCode, body } = await request(`${origin}/metrics`)
  const text = await body.text()
  if (statusCode !== 200) throw new Error(`/metrics answered ${statusCode}: ${text.slice(0, 200)}`)
  const milliseconds = (name: string) => {
    const found = new RegExp(`^nodejs_eventloop_lag_${name}_seconds (\\S+)$`, 'm').exec(text)?.[1]
    return Math.max(0, Number(found ?? Number.NaN) * 1000 - RESOLUTION_MS)
  }
  return { p50: milliseconds('p50'), p99: milliseconds('p99'), max: milliseconds('max') }
}
