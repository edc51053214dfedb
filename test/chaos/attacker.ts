/**
 * A process that floods: every few seconds another flood against each of the addresses, as a stranger, with a key without credits and
 * with one that could pay. Told all by its only argument; ends when it is killed, or when its parent is gone.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { FLOODS } from '../support/floods.ts'
import { shuffled } from '../support/shuffled.ts'
import { seededRandom } from '../support/splits.ts'
import { startFlood } from '../support/start-flood.ts'

export interface AttackPlan {
  urls: readonly string[]
  keys: readonly (string | null)[]
  seed: number
}

const FLOOD_MS = 5_000
/** Somewhat fewer than each flood has alone: the machine is shared with honest callers. */
const CONNECTIONS_MOST = 200

async function attack({ urls, keys, seed }: AttackPlan): Promise<never> {
  const random = seededRandom(seed)
  for (;;) {
    for (const flood of shuffled(FLOODS, random)) {
      const key = keys[Math.floor(random() * keys.length)] ?? null
      const bounded = { ...flood, connections: Math.min(flood.connections, CONNECTIONS_MOST) }
      const running = urls.map((url) => startFlood(bounded, url, key))
      await sleep(FLOOD_MS)
      for (const { stop } of running) stop()
    }
  }
}

process.on('disconnect', () => process.exit())
await attack(JSON.parse(process.argv[2] ?? '') as AttackPlan)
