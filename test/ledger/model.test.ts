/**
 * The ledger's SQL against a model of its rules, by random stories: batches, two connections at once, lost connections, lost
 * processes, time. Two shards, each with its own database and seed. The seed of the first one finds nearly every breakage
 * of model/breakages.ts within 330 runs, the rarest after 1,729 (measured): those take more by hand:
 *   TOLLGATE_MODEL_RUNS=50000 TOLLGATE_MODEL_SEED=7 npx vitest run test/ledger/model.test.ts
 */
import { expect, test } from 'vitest'
import { useDatabase } from '../support/database.ts'
import { checkLedger } from './model/check-ledger.ts'
import { RealLedger } from './model/real.ts'

const { TOLLGATE_MODEL_SEED, TOLLGATE_MODEL_PATH, TOLLGATE_MODEL_RUNS } = process.env
const seed = Number(TOLLGATE_MODEL_SEED ?? 8_084)
const runs = Number(TOLLGATE_MODEL_RUNS ?? 1_000)
const seeds = TOLLGATE_MODEL_PATH === undefined ? [seed, seed + 1] : [seed]
const shards = seeds.map((shardSeed) => ({ shardSeed, db: useDatabase() }))

test.concurrent.each(shards)(
  'Whatever happens, the ledger does what its model does: seed $shardSeed',
  {
    timeout: 60_000 + runs * 200,
  },
  async ({ shardSeed, db }) => {
    const real = await RealLedger.open(db.url)
    try {
      const checked = await checkLedger(real, {
        seed: shardSeed,
        runs: TOLLGATE_MODEL_PATH === undefined ? Math.ceil(runs / shards.length) : 1,
        path: TOLLGATE_MODEL_PATH,
        replay: (path) =>
          `TOLLGATE_MODEL_SEED=${shardSeed} TOLLGATE_MODEL_PATH='${path}' npx vitest run test/ledger/model.test.ts`,
      })
      expect(checked.runs).toBeGreaterThan(0)
      if (process.env.TOLLGATE_MODEL_VERBOSE !== undefined) console.log(checked)
    } finally {
      await real.close()
    }
  },
)
