/**
 * The model can fail: with a rule broken in the database, random stories find it, tell it in few steps, and tell it again when
 * replayed. Three breakages here; TOLLGATE_MODEL_BREAKAGES=all tries every one of breakages.ts (some minutes).
 */
import { expect, test } from 'vitest'
import { useDatabase } from '../support/database.ts'
import { type Breakage, breakages, whileBroken } from './model/breakages.ts'
import { checkLedger } from './model/check-ledger.ts'
import { RealLedger } from './model/real.ts'

const db = useDatabase()
const tried = process.env.TOLLGATE_MODEL_BREAKAGES === 'all' ? breakages : breakages.slice(0, 3)
let prepare = true

test.for(tried)('The model notices a broken rule: $name', { timeout: 300_000 }, async (breakage) => {
  const real = await RealLedger.open(db.url, { prepare })
  prepare = false
  try {
    await whileBroken(db.url, breakage, async () => {
      const found = await failure(real, breakage)
      if (process.env.TOLLGATE_MODEL_VERBOSE !== undefined) console.log(`${breakage.name}: ${found}`)
      expect(found).toMatch(
        /\n {2}but (the answer should|the books differ|the database answers (deadlock|new row|duplicate key|\d+ of \d+ calls))/,
      )
      expect(found.match(/^ {2}\d+\. /gm)?.length, found).toBeLessThanOrEqual(12)
      // Two connections at once, and one that is cut, don't always meet in the same way.
      if (breakages.indexOf(breakage) > 2 || /^ {2}\d+\. (at once|connection lost)/m.test(found)) return
      expect(story(await failure(real, breakage, /again: (.*)$/m.exec(found)?.[1]))).toBe(story(found))
    })
  } finally {
    await real.close()
  }
})

async function failure(real: RealLedger, { within }: Breakage, path?: string): Promise<string> {
  const nothing = 'nothing was noticed'
  const checked = checkLedger(real, { seed: 8_084, runs: within, path, replay: (found) => found })
  return checked.then(
    () => nothing,
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  )
}

/** Without how long it took to find. */
const story = (found: string): string => found.slice(found.indexOf('\n'))
