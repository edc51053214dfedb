/** What a user is in an organization, and what the organization's state and plan are: one query, whoever asks. */
import { type RawBuilder, sql } from 'kysely'
import { tierName } from '../config/tiers.ts'
import type { Database } from '../db/connect.ts'
import { isUuid } from '../db/uuid.ts'
import type { Caller, OrganizationRole, Role } from './caller.ts'
import { type Spender, type SpenderRow, spendersOf } from './spender.ts'

/** The organization of callers who have none of their own. */
export const DEFAULT_ORGANIZATION = 'default'

/** The tier of callers whose calls nobody counts. */
export const UNLIMITED = 'unlimited'

const CURRENT = ['active', 'trialing']
/** Plans whose calls are made with keys of the organization's own. */
const BRINGS_KEYS: ReadonlySet<Caller['plan']> = new Set<Caller['plan']>(['byok', 'hybrid'])

export interface Standing {
  organizationId: string
  isActive: boolean
  role: Role
  plan: Caller['plan']
  planEnded: string | null
  tier: string
  isDefaultOrganization: boolean
  /** The user, and the organization, where they have budgets or bounds. */
  spenders: readonly Spender[]
  hasCustomers: boolean
}

export interface StandingRow {
  org_id: string
  org_name: string
  org_status: string
  plan_tier: string
  is_budgeted: boolean
  role: OrganizationRole | null
  subscription_plan: Caller['plan']
  plan_status: string | null
  user_spenders: SpenderRow[] | null
  has_customers: boolean
}

/** The columns of a StandingRow, for a query that has organizations as `o` and the two joins below. @param user whose id. */
export function standingColumns(user: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`o.id as org_id, o.name as org_name, o.status as org_status, o.is_budgeted, o.plan_tier, m.role, s.subscription_plan, s.status as plan_status,
    tollgate.spenders_of_user(o.id, ${user}) as user_spenders,
    exists (select from tollgate.spenders c where c.org_id = o.id and c.kind = 'customer') as has_customers`
}

/** The subscription that counts is the one in force, else the last there was. */
export const SUBSCRIPTION = sql`left join lateral (
  select subscription_plan, status from organization_subscriptions where org_id = o.id
  order by (status in ('active', 'trialing')) desc nulls last, created_at desc limit 1) s on true`

export function standingOf(row: StandingRow): Standing {
  const isCurrent = row.plan_status !== null && CURRENT.includes(row.plan_status)
  // An organization with its own keys asked not to be served with the operator's; that does not end with its plan.
  const plan = isCurrent || row.subscription_plan === 'byok' ? row.subscription_plan : null
  const isDefaultOrganization = row.org_name === DEFAULT_ORGANIZATION || row.is_budgeted
  return {
    organizationId: row.org_id,
    isActive: row.org_status === 'active',
    role: row.role ?? 'none',
    plan,
    planEnded: BRINGS_KEYS.has(row.subscription_plan) && !isCurrent ? row.plan_status : null,
    tier: isDefaultOrganization ? UNLIMITED : plan === 'byok' ? 'byok' : tierName(row.plan_tier),
    isDefaultOrganization,
    spenders: spendersOf(row.user_spenders),
    hasCustomers: row.has_customers,
  }
}

/** @param organization name or id. Null where there is none; with the role `none` where the user is no member. */
export async function findStanding(database: Database, organization: string, user: string): Promise<Standing | null> {
  const which = isUuid(organization) ? sql`o.id = ${organization}` : sql`o.name = ${organization}`
  const [found] = await find(database, user, sql`left join`, sql`${which} and o.status <> 'deleted'`)
  return found ?? null
}

/** Every organization a user belongs to: the default one first, then those joined last. */
export function findMemberships(database: Database, user: string): Promise<Standing[]> {
  return find(database, user, sql`join`, sql`o.status <> 'deleted'`)
}

async function find(
  database: Database,
  user: string,
  joined: RawBuilder<unknown>,
  which: RawBuilder<unknown>,
): Promise<Standing[]> {
  const { rows } = await sql<StandingRow>`
    select ${standingColumns(sql`${user}`)} from organizations o
    ${joined} organization_members m on m.org_id = o.id and m.user_id = ${user}
    ${SUBSCRIPTION}
    where ${which}
    order by m.is_default desc nulls last, (o.status = 'active') desc, m.joined_at desc, o.id`.execute(database.query)
  return rows.map(standingOf)
}
