/** The running product with all it needs, once for the whole catalogue: real PostgreSQL, real process, a provider on loopback. */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createKey } from '../../src/billing/create-key.ts'
import { createOrganization } from '../../src/billing/create-organization.ts'
import type { Plan } from '../../src/config/config.ts'
import { connect, type Database } from '../../src/db/connect.ts'
import { openEmbeddedStore } from '../../src/db/embedded.ts'
import { migrate } from '../../src/db/migrate.ts'
import { audit } from '../../src/ledger/audit.ts'
import { startTollgate, type Tollgate } from '../support/tollgate.ts'
import { type ScriptedUpstream, startUpstream } from '../support/upstream.ts'

export interface Stage {
  database: Database
  tollgate: Tollgate
  upstream: ScriptedUpstream
  /** An organization whose users may spend so many credits each, and their keys. */
  payer(plan: Plan, credits: bigint, users?: number): Promise<Payer>
}

export interface Payer {
  organization: string
  keys: readonly string[]
}

/** `findings`: what the audit finds afterwards, calls that were never closed included. */
export async function withStage<Result>(
  config: (upstreamUrl: string) => string,
  run: (stage: Stage) => Promise<Result>,
): Promise<{ result: Result; findings: number }> {
  const folder = await mkdtemp(join(tmpdir(), 'tollgate-attack-'))
  // Run by root, the store's unprivileged user must get through.
  await chmod(folder, 0o755)
  const store = await openEmbeddedStore(join(folder, 'data'))
  await migrate(store.url)
  const database = connect(store.url)
  const upstream = await startUpstream()
  const tollgate = await startTollgate({ databaseUrl: store.url, config: config(upstream.url) })
  let payers = 0
  async function payer(plan: Plan, credits: bigint, users = 1): Promise<Payer> {
    payers += 1
    const { id } = await createOrganization(database, {
      name: `payer-${payers}`,
      plan,
      credits: credits * BigInt(users),
    })
    const keys: string[] = []
    for (const user of ['bob', ...Array.from({ length: users - 1 }, (_, index) => `bob-${index + 2}`)]) {
      const request = { organization: id, user, allocate: credits, role: 'owner', name: null } as const
      keys.push((await createKey(database, request)).key)
    }
    return { organization: id, keys }
  }
  try {
    const result = await run({ database, tollgate, upstream, payer })
    const { findings, openHolds } = await audit(database)
    return { result, findings: findings.length + openHolds }
  } finally {
    await tollgate.stop()
    await upstream.close()
    await database.close()
    await store.close()
    await rm(folder, { recursive: true, force: true })
  }
}
