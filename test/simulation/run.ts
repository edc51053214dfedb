/**
 * npm run simulate: an hour of mixed use, as fast as it goes: organizations of every plan, calls, deductions over HTTP and by SQL,
 * purchases, allocations, plan changes, refunds, members who leave and come back, on two processes and one database. The audit runs
 * beside it each second; afterwards every dashboard is compared with the rows of the books and with what the responses said, to the
 * microcredit. Exit status 1 on a difference. `--seed N` makes the same operations again.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { connect } from '../../src/db/connect.ts'
import { openEmbeddedStore } from '../../src/db/embedded.ts'
import { migrate } from '../../src/db/migrate.ts'
import { simulate } from './simulate.ts'

/** One a second, for an hour. */
const AN_HOUR = '3600'

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string' },
      operations: { type: 'string', default: AN_HOUR },
      organizations: { type: 'string', default: '40' },
      lanes: { type: 'string', default: '24' },
    },
  })
  const seed = Number(values.seed ?? Date.now() % 2 ** 31)
  const { operations, organizations, lanes } = values
  const line = `--seed ${seed} --operations ${operations} --organizations ${organizations} --lanes ${lanes}`
  console.log(`npm run simulate -- ${line}`)
  const folder = await mkdtemp(join(tmpdir(), 'tollgate-simulation-'))
  // Run by root, the store's unprivileged user must get through.
  await chmod(folder, 0o711)
  const begun = performance.now()
  const store = await openEmbeddedStore(join(folder, 'data'))
  try {
    await migrate(store.url)
    const database = connect(store.url)
    const numbers = { seed, operations: Number(operations), organizations: Number(organizations), lanes: Number(lanes) }
    const { made, audits, busy, differences } = await simulate({ database, databaseUrl: store.url, ...numbers })
    await database.close()
    for (const [name, count] of [...made].sort(([, a], [, b]) => b - a))
      console.log(`${String(count).padStart(8)} ${name}`)
    for (const difference of differences) console.log(`DIFFERENT: ${difference}`)
    const seconds = ((performance.now() - begun) / 1_000).toFixed(1)
    console.log(
      `${differences.length} differences, ${audits} audits, ${busy} times no ledger for a moment, ${seconds} s; npm run simulate -- ${line}`,
    )
    return differences.length === 0 && made.size > 0 ? 0 : 1
  } finally {
    await store.close()
    await rm(folder, { recursive: true, force: true })
  }
}

process.exitCode = await main()
