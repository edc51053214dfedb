/**
 * Carries keys, users, teams, organizations, customers and budgets of a LiteLLM into Tollgate, with what was spent. Reads theirs in one
 * snapshot and never writes into it. What is here already stays as it is, but for what was spent of it there since this command made it:
 * so a second run changes nothing, and one after LiteLLM's last call brings the rest of the spending.
 */
import { sql } from 'kysely'
import type { Database } from '../../db/connect.ts'
import { trimDecimal } from '../../metering/money.ts'
import { type Deployment, readDeployments } from './deployments.ts'
import { type Here, readHere } from './here.ts'
import { createNotes, type Note, type What } from './notes.ts'
import { noteOthers } from './others.ts'
import type { Plan, PlannedRow } from './plan.ts'
import { readPlan } from './read-plan.ts'
import type { Source } from './source.ts'
import { spentOf } from './values.ts'
import { ACTOR, type Spending, writePlan } from './write-plan.ts'

export interface MoveOptions {
  source: Source
  database: Database
  dryRun: boolean
  accepted: ReadonlySet<string>
  /** Opens deployments. */
  saltKey: string | null
  /** Takes them; null: they are only counted. */
  writeDeployments: ((deployments: readonly Deployment[]) => Promise<void>) | null
}

export interface KindReport {
  what: What
  there: number
  /** Rows there that stand here now; of a dry run, those that would. */
  carried: number
  already_here: number
  left: number
}

export interface MoveReport {
  source: string
  dry_run: boolean
  kinds: KindReport[]
  /** Dollars that carried keys spent there, as it counts here. */
  spent_by_keys: string
  /** Keys without any budget, their own or somebody's: nothing but the prices bounds what they spend. */
  keys_without_budget: number
  notes: Note[]
}

export async function move(options: MoveOptions): Promise<MoveReport> {
  const { source, database, dryRun, accepted, saltKey, writeDeployments } = options
  const notes = createNotes()
  const here = await readHere(database, ACTOR)
  const { defaultId, names, now } = here
  const plan = await readPlan({ source, notes, accepted, defaultId, names, now })
  const spendings = await spendingsOf(options, plan, here)
  const { there, deployments } = await readDeployments(source, saltKey, notes)
  const others = await noteOthers(source, notes, now)
  const kinds = [...kindsOf(plan, here, notes.all), ...besides({ there, deployments, others, writeDeployments })]
  if (!dryRun && deployments.length > 0) await writeDeployments?.(deployments)
  const spentByKeys = dryRun ? spentIn(spendings) : (await writePlan(database, plan, here, spendings)).spentByKeys
  return {
    source: source.name,
    dry_run: dryRun,
    kinds,
    spent_by_keys: trimDecimal(spentByKeys, 9),
    keys_without_budget: withoutBudget(plan),
    notes: [...notes.all],
  }
}

/** What rows that are new, or that this command made, have spent of each of their budgets. */
async function spendingsOf({ source, database }: MoveOptions, plan: Plan, here: Here): Promise<Spending[]> {
  const spendings: Spending[] = []
  for (const row of plan.rows) {
    const { id, kind, spent } = row
    if (here.has(row) && !here.isOurs(row)) continue
    spendings.push({ id, kind, window: null, model: null, micro: spent.ever })
    if (spent.window !== null) spendings.push({ id, kind, window: spent.window, model: null, micro: spent.inWindow })
    for (const { window, model } of spent.fromLogs) {
      const since = await windowStart(database, window)
      const micro = spentOf(await source.spentSince(since, spent.by, model))
      spendings.push({ id, kind, window, model, micro })
    }
  }
  return spendings.filter(({ micro }) => micro > 0n)
}

async function windowStart({ query }: Database, window: string | null): Promise<Date> {
  const { rows } = await sql<{ start: Date }>`
    select tollgate.ledger_window_start(${window}::varchar, tollgate.tollgate_now()) as start`.execute(query)
  return rows[0]?.start ?? new Date(0)
}

function spentIn(spendings: readonly Spending[]): bigint {
  return spendings
    .filter(({ kind, window, model }) => kind === 'key' && window === null && model === null)
    .reduce((sum, { micro }) => sum + micro, 0n)
}

function kindsOf(plan: Plan, here: Here, notes: readonly Note[]): KindReport[] {
  return [...plan.there].map(([what, rowsThere]) => {
    const rows = plan.rows.filter((row) => row.what === what)
    const ids = (some: readonly PlannedRow[]) => new Set(some.map(({ theirs }) => theirs)).size
    const all = ids(rows)
    const fresh = ids(rows.filter((row) => !here.has(row)))
    const left = new Set(notes.filter((note) => note.is === 'left' && note.what === what).map(({ row }) => row)).size
    // Budgets of organizations and of members of teams stand in those rows.
    const there = what === 'team members' || what === 'budgets' ? all + left : rowsThere
    return { what, there, carried: fresh, already_here: all - fresh, left: there - all }
  })
}

function besides(counted: {
  there: number
  deployments: readonly Deployment[]
  others: number
  writeDeployments: MoveOptions['writeDeployments']
}): KindReport[] {
  const { there, deployments, others, writeDeployments } = counted
  const carried = writeDeployments === null ? 0 : deployments.length
  return [
    { what: 'deployments', there, carried, already_here: 0, left: there - carried },
    { what: 'others', there: others, carried: 0, already_here: 0, left: others },
  ]
}

/** Neither the key nor its team, its member there, its user or its organization has one. */
function withoutBudget({ rows }: Plan): number {
  const named = new Map(
    rows.filter(({ kind }) => kind === 'budget').map((row) => [`${row.organizationId} ${row.name}`, row]),
  )
  const isBounded = ({ settings, budget, organizationId }: PlannedRow) =>
    hasBudget(settings) || (budget !== null && hasBudget(named.get(`${organizationId} ${budget}`)?.settings ?? {}))
  const bounded = new Set(
    rows.filter(isBounded).map(({ kind, organizationId, name }) => JSON.stringify([organizationId, kind, name])),
  )
  const has = (organizationId: string, kind: PlannedRow['kind'], name: string | null) =>
    name !== null && bounded.has(JSON.stringify([organizationId, kind, name]))
  return rows.filter((row) => {
    const { kind, organizationId: at, name, userId, team } = row
    if (kind !== 'key') return false
    const member = team === null || userId === null ? null : JSON.stringify([team, userId])
    const byUser = team === null && has(at, 'user', userId)
    return !(
      has(at, 'key', name) ||
      byUser ||
      has(at, 'team', team) ||
      has(at, 'team_member', member) ||
      has(at, 'organization', at)
    )
  }).length
}

function hasBudget({ max_budget: most, budget_limits: windows }: PlannedRow['settings']): boolean {
  return most !== undefined || (windows !== undefined && windows.length > 0)
}
