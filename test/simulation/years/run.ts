/**
 * npm run simulate:years: two years in minutes, see simulate-years.ts. Exit status 1 on a difference. `--seed N` makes the same jumps
 * and actions again.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { connect } from '../../../src/db/connect.ts'
import { openEmbeddedStore } from '../../../src/db/embedded.ts'
import { migrate } from '../../../src/db/migrate.ts'
import { simulateYears } from './simulate-years.ts'

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string' },
      days: { type: 'string', default: '730' },
      actions: { type: 'string', default: '8' },
      organizations: { type: 'string', default: '9' },
    },
  })
  const seed = Number(values.seed ?? Date.now() % 2 ** 31)
  const { days, actions, organizations } = values
  const line = `npm run simulate:years -- --seed ${seed} --days ${days} --actions ${actions} --organizations ${organizations}`
  console.log(line)
  const folder = await mkdtemp(join(tmpdir(), 'tollgate-years-'))
  // Run by root, the store's unprivileged user must get through.
  await chmod(folder, 0o711)
  const store = await openEmbeddedStore(join(folder, 'data'))
  try {
    await migrate(store.url)
    const database = connect(store.url)
    const numbers = { seed, days: Number(days), actions: Number(actions), organizations: Number(organizations) }
    const onJump = (now: Date, wrong: number) => console.log(`${now.toISOString()} ${wrong} differences`)
    const { jumps, made, differences } = await simulateYears({ database, databaseUrl: store.url, onJump, ...numbers })
    await database.close()
    for (const [name, count] of [...made].sort(([, a], [, b]) => b - a))
      console.log(`${String(count).padStart(8)} ${name}`)
    for (const difference of differences) console.log(`DIFFERENT: ${difference}`)
    console.log(`${differences.length} differences after ${jumps} jumps; ${line}`)
    return differences.length === 0 ? 0 : 1
  } finally {
    await store.close()
    await rm(folder, { recursive: true, force: true })
  }
}

process.exitCode = await main()
