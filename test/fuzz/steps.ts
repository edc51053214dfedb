/**
 * How many steps of ours a piece of work takes: how often blocks of the code in src/ and providers/ run, as V8 counts them. Unlike
 * milliseconds they are the same on every machine, so that a test can say that twice the bytes take twice the work.
 */
import { Session } from 'node:inspector/promises'

const OURS = /\/(?:src|providers)\/[^?]*\.ts$/

export interface Steps {
  of(work: () => unknown): Promise<number>
  close(): Promise<void>
}

export async function countSteps(): Promise<Steps> {
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  return {
    async of(work) {
      await session.post('Profiler.takePreciseCoverage')
      try {
        work()
      } catch {
        // A refusal is an end like any other.
      }
      const { result } = await session.post('Profiler.takePreciseCoverage')
      let steps = 0
      for (const { url, functions } of result) {
        if (OURS.test(url)) for (const { ranges } of functions) for (const { count } of ranges) steps += count
      }
      return steps
    },
    async close() {
      await session.post('Profiler.stopPreciseCoverage')
      session.disconnect()
    },
  }
}
