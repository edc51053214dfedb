/** A few minutes of the simulated hour (npm run simulate): two processes, one database, everything that moves credits. */
import { expect, test } from 'vitest'
import { useDatabase } from '../support/database.ts'
import { simulate } from './simulate.ts'

const db = useDatabase()
const SEED = 18

test('Whatever members, admins, the operator and Stripe do at once, on two processes, the books are right at every moment, and every dashboard says what they say, to the microcredit.', async () => {
  const sizes = { operations: 280, organizations: 4, lanes: 8 }
  const { made, audits, differences } = await simulate({
    database: db.database,
    databaseUrl: db.url,
    seed: SEED,
    ...sizes,
  })
  expect(differences).toEqual([])
  expect(audits).toBeGreaterThan(1)
  // Every kind of operation was among them.
  expect(made.size).toBe(12)
}, 120_000)
