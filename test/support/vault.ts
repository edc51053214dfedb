/** Vaults of a test, with a clock the test moves and a log it reads; closed when the test is over. */
import { randomBytes } from 'node:crypto'
import type { Log } from '../../src/observe/log.ts'
import { createLog } from '../../src/observe/log.ts'
import { type RawRoot, rawRoot } from '../../src/vault/root-key.ts'
import { openVault, type Vault, type VaultOptions } from '../../src/vault/vault.ts'
import type { TestDatabase } from './database.ts'

export interface TestVault extends Vault {
  clock: { now: number }
  /** Every line logged so far. */
  logged(): string
}

export function newRootKey(): RawRoot {
  return rawRoot(randomBytes(32))
}

export async function openTestVault(
  db: TestDatabase,
  options: Pick<VaultOptions, 'roots'> & Partial<VaultOptions>,
): Promise<TestVault> {
  const clock = { now: 0 }
  let text = ''
  const log: Log = createLog('trace', new Map(), {
    write: (line: string) => {
      text += line
    },
  })
  const vault = await openVault({
    database: db.database,
    databaseUrl: db.url,
    fernetKeys: [],
    log,
    now: () => clock.now,
    ...options,
  })
  return { ...vault, clock, logged: () => text }
}
