/** The running product with everything it needs, for one run: a store of its own, a scripted provider, a payer who can pay. */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createKey } from '../../src/billing/create-key.ts'
import { createOrganization } from '../../src/billing/create-organization.ts'
import { connect } from '../../src/db/connect.ts'
import { openEmbeddedStore } from '../../src/db/embedded.ts'
import { migrate } from '../../src/db/migrate.ts'
import { audit } from '../../src/ledger/audit.ts'
import { startTollgate } from '../support/tollgate.ts'
import { startUpstream } from '../support/upstream.ts'
import type { Replayer } from './replay.ts'

const CREDITS = 1_000_000_000n * 1_000_000n

/** `findings`: what the audit finds afterwards, calls that were never closed included. */
export async function withProduct<Result>(
  config: (origin: string) => string,
  run: (replayer: Replayer) => Promise<Result>,
): Promise<{ result: Result; findings: number }> {
  const folder = await mkdtemp(join(tmpdir(), 'tollgate-conformance-'))
  // Run by root, the store's unprivileged user must get through.
  await chmod(folder, 0o755)
  const store = await openEmbeddedStore(join(folder, 'data'))
  await migrate(store.url)
  const database = connect(store.url)
  // Without a markup (harness-config.ts), so that charges are the providers' bills.
  const plan = 'hybrid'
  await createOrganization(database, { name: 'conformance', plan, credits: CREDITS })
  const { key } = await createKey(database, {
    organization: 'conformance',
    user: 'replay',
    allocate: CREDITS,
    role: null,
    name: null,
  })
  const upstream = await startUpstream()
  const tollgate = await startTollgate({ databaseUrl: store.url, config: config(new URL(upstream.url).origin) })
  try {
    const result = await run({ url: tollgate.url, key, upstream })
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
