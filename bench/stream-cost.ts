/** What a chunk of a stream costs the proxy where it is passed on, and where it is translated out of another dialect. */
import { type Kind, LONG_STREAM_CHUNKS } from './provider-answers.ts'
import { spread, table } from './table.ts'
import type { Target } from './verdict.ts'

/** As fast as they come, so that the work on the chunks is most of what there is to do. */
export const LONG_STREAMS = ['long-stream', 'anthropic-stream', 'gemini-stream'] as const satisfies readonly Kind[]
export const LONG_STREAM_CONNECTIONS = 4
const PASSED_ON = 'long-stream'
/** As much as one that is passed on. */
const MOST_TIMES = 2

/** Milliseconds of the proxy's CPU a call, one value a round. */
type CpuOf = (kind: Kind) => readonly number[]

function ratios(cpuOf: CpuOf, kind: Kind): number[] {
  const passedOn = cpuOf(PASSED_ON)
  return cpuOf(kind).flatMap((cpu, round) => {
    const plain = passedOn[round]
    return plain === undefined ? [] : [cpu / plain]
  })
}

export function showStreamCost(cpuOf: CpuOf): string {
  const rows = LONG_STREAMS.map((kind) => [
    kind,
    spread(cpuOf(kind).map((cpu) => (cpu * 1000) / LONG_STREAM_CHUNKS)),
    kind === PASSED_ON ? '' : spread(ratios(cpuOf, kind)),
  ])
  return table(['a stream as fast as it comes', "proxy's CPU us a chunk", 'times one passed on'], rows)
}

export function streamCostTargets(cpuOf: CpuOf): Target[] {
  return LONG_STREAMS.filter((kind) => kind !== PASSED_ON).map((kind) => ({
    what: `CPU of a translated chunk beside one passed on, ${kind}`,
    measured: ratios(cpuOf, kind),
    unit: ' times',
    atMost: MOST_TIMES,
  }))
}
