/** What /metrics printed, as numbers by series: `tollgate_calls_total{provider="openai",...}`. */
import { expect } from 'vitest'
import { get, MASTER_KEY } from '../support/tollgate.ts'

export type Samples = ReadonlyMap<string, number>

export async function scrape(tollgate: { url: string }): Promise<Samples> {
  const answer = await get(tollgate, MASTER_KEY, '/metrics')
  expect(answer.status).toBe(200)
  expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
  return readSamples(answer.body)
}

export function readSamples(text: string): Samples {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(
    lines.map((line) => {
      const end = line.lastIndexOf(' ')
      return [line.slice(0, end), Number(line.slice(end + 1))]
    }),
  )
}

/** The series that grew, and by how much; only those whose name starts so. */
export function growth(before: Samples, after: Samples, ...names: string[]): Record<string, number> {
  const grown = [...after]
    .filter(([series]) => names.some((name) => series.startsWith(name)))
    .map(([series, value]) => [series, value - (before.get(series) ?? 0)] as const)
  return Object.fromEntries(grown.filter(([, value]) => value !== 0))
}
