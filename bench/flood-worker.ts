/** The attacker, as a process: one flood at a time. */
import { FLOODS } from '../test/support/floods.ts'
import { type RunningFlood, startFlood } from '../test/support/start-flood.ts'
import { answerAsks } from './answer-asks.ts'

export interface FloodWorker {
  start(value: { name: string; url: string; key: string | null }): void
  /** Returns how many connections it opened. */
  stop(value: null): number
}

let running: RunningFlood | null = null

answerAsks<FloodWorker>({
  start({ name, url, key }) {
    const flood = FLOODS.find((one) => one.name === name)
    if (flood === undefined) throw new Error(`There is no flood ${JSON.stringify(name)}.`)
    running = startFlood(flood, url, key)
  },
  stop() {
    const opened = running?.opened ?? 0
    running?.stop()
    running = null
    return opened
  },
})
