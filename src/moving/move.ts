/**
 * Moves an Ops-Center into Tollgate: organizations with what hangs on them, and provider keys. Reads theirs in one snapshot, writes ours in
 * one transaction or not at all, and never writes into theirs. What is here already is passed over, so a second run changes nothing, and
 * one after something was put right there carries the rest. Fails closed: books that would not be right are not committed.
 */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { trimDecimal } from '../metering/money.ts'
import { logAs } from '../vault/audit-log.ts'
import type { FernetKey } from '../vault/fernet.ts'
import { createKeyOpener } from '../vault/key-opener.ts'
import { contextOf } from '../vault/key-owner.ts'
import { findKeyRow, setRowEnabled, upsertKeyRow } from '../vault/key-rows.ts'
import type { Root } from '../vault/root-key.ts'
import { holdRootRow } from '../vault/root-ring.ts'
import { createSealer } from '../vault/sealer.ts'
import { carry } from './carry.ts'
import { type Compared, compareBalances } from './compare-balances.ts'
import { createFindings, type Finding } from './finding.ts'
import { type MovedKey, readKeys } from './read-keys.ts'
import { type Here, readOrganizations } from './read-organizations.ts'
import { type DoubleDebits, readUse } from './read-use.ts'
import type { Source } from './source.ts'
import { type TableLeft, tablesLeft } from './tables-left.ts'
import { ACTOR } from './target-rows.ts'

export interface MoveOptions {
  source: Source
  database: Database
  roots: readonly Root[]
  fernetKeys: readonly FernetKey[]
  dryRun: boolean
  /** Give pools what their allocations hand out above them. */
  coverShortage: boolean
}

/** Amounts are decimal credits. */
export interface MoveReport {
  source: string
  dry_run: boolean
  /** Rows that were carried; of a dry run, those that would be. */
  carried: Record<string, number>
  already_here: { organizations: number; keys: number }
  balances: BalanceReport[]
  /** What was deducted more than once for the same request; of the pool where user is null. */
  double_debits: { organization: string; user: string | null; rows: number; credits: string }[]
  findings: Finding[]
  tables_left: TableLeft[]
}

interface BalanceReport {
  organization: string
  id: string
  name: string
  there: PoolFigures
  here: PoolFigures
}

interface PoolFigures {
  total: string
  allocated: string
  used: string
  available: string
}

export async function move(options: MoveOptions): Promise<MoveReport> {
  const { source, database, roots, fernetKeys, dryRun, coverShortage } = options
  const findings = createFindings()
  const organizations = await readOrganizations(source, await readHere(database), findings)
  const doubles = await readUse(source, organizations, findings)
  const compared = compareBalances(organizations.toCarry.values(), { coverShortage, findings })
  const sealer = createSealer()
  const opener = createKeyOpener({ database, roots, fernetKeys, sealer })
  const { keys, already } = await readKeys(source, {
    opener,
    isHere: async (provider, owner) => (await findKeyRow(database.query, provider, owner)) !== null,
    findings,
  })
  if (!dryRun && compared.length + keys.length > 0) await write(options, compared, keys)
  return {
    source: source.name,
    dry_run: dryRun,
    carried: countRows(compared, keys),
    already_here: { organizations: organizations.already.size, keys: already },
    balances: compared.map(balanceReport),
    double_debits: doubles.map(doubleReport),
    findings: findings.all,
    tables_left: await tablesLeft(source),
  }
}

async function readHere(database: Database): Promise<Here> {
  const rows = await database.query.selectFrom('organizations').select(['id', 'name']).execute()
  return { ids: new Set(rows.map(({ id }) => id)), names: new Set(rows.map(({ name }) => name)) }
}

/** All of it or nothing. Only the name of the root key, which any start writes, is written before. */
async function write({ source, database, roots, fernetKeys }: MoveOptions, compared: Compared[], keys: MovedKey[]) {
  const sealer = createSealer()
  const root = keys.length === 0 ? null : await createKeyOpener({ database, roots, fernetKeys, sealer }).learnRoots()
  await database.query.transaction().execute(async (transaction) => {
    // Dates without a zone are UTC there. Two moves at once: the second waits, and then finds every id taken.
    await sql`set local time zone 'UTC'`.execute(transaction)
    await sql`select pg_advisory_xact_lock(hashtext(${ACTOR}))`.execute(transaction)
    await carry(transaction, source, compared)
    await logAs(transaction, { actor: ACTOR, ip: null, requestId: null }, 'key.imported')
    if (root !== null && (await holdRootRow(transaction)) !== root.name)
      throw new Error('The root key was replaced meanwhile. Nothing was carried: run it again.')
    for (const { provider, owner, apiKey, enabled, metadata } of root === null ? [] : keys) {
      if ((await findKeyRow(transaction, provider, owner)) !== null) continue
      const sealed = await sealer.seal(apiKey, contextOf(provider, owner), root!)
      await upsertKeyRow(transaction, { provider, owner, sealed, metadata })
      if (!enabled) await setRowEnabled(transaction, provider, owner, false)
    }
  })
}

function countRows(compared: readonly Compared[], keys: readonly MovedKey[]): Record<string, number> {
  const sum = (of: (one: Compared['organization']) => number) =>
    compared.reduce((total, { organization }) => total + of(organization), 0)
  return {
    organizations: compared.length,
    organization_members: sum(({ members }) => members.size),
    organization_subscriptions: sum(({ subscriptions }) => subscriptions.length),
    organization_credit_pools: sum(({ pool }) => (pool === null ? 0 : 1)),
    user_credit_allocations: sum(
      ({ allocations }) => [...allocations.values()].filter(({ row }) => row !== null).length,
    ),
    credit_usage_attribution: sum(({ charges }) => charges),
    org_billing_history: sum(({ history }) => history.length),
    provider_keys: keys.length,
  }
}

function balanceReport({ organization: { id, theirs, name, pool }, balance }: Compared): BalanceReport {
  const figures = ({ total, allocated, used }: { total: bigint; allocated: bigint; used: bigint }): PoolFigures => ({
    total: trimDecimal(total, 6),
    allocated: trimDecimal(allocated, 6),
    used: trimDecimal(used, 6),
    available: trimDecimal(total - allocated, 6),
  })
  const there = figures(pool ?? { total: 0n, allocated: 0n, used: 0n })
  return { organization: theirs, id, name, there, here: figures(balance.pool) }
}

function doubleReport({ credits, ...rest }: DoubleDebits) {
  return { ...rest, credits: trimDecimal(credits, 6) }
}
