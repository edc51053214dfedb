/** A part of the simulated years (npm run simulate:years): two processes, one database, a clock that jumps. */
import { expect, test } from 'vitest'
import { useDatabase } from '../../support/database.ts'
import { simulateYears } from './simulate-years.ts'

const db = useDatabase()
const SEED = 22

test('For two years of jumps, every reset and refresh is done once and on its day, no quota is passed by one call, plans are in their period, and each statement goes on where the one before ended.', async () => {
  const sizes = { days: 730, actions: 3, organizations: 3 }
  const { jumps, made, differences } = await simulateYears({
    database: db.database,
    databaseUrl: db.url,
    seed: SEED,
    ...sizes,
  })
  expect(differences).toEqual([])
  expect(jumps).toBeGreaterThan(60)
  // Every kind of action was among them.
  expect(made.size).toBe(6)
}, 300_000)
