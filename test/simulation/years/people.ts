/** Who takes part in the simulated years: organizations with a refresh a month, and members of whom each has another period. */
import { createKey } from '../../../src/billing/create-key.ts'
import { createOrganization } from '../../../src/billing/create-organization.ts'
import type { Database } from '../../../src/db/connect.ts'
import type { Period } from './series.ts'

const MICRO = 1_000_000n
/** Far more than is ever spent: a reset always finds what it gives back. */
const CREDITS = 10_000_000n
const ALLOCATED = 40n

/** Small, so that days and months are used up all the time. */
export const TIERS = {
  trial: { calls_per_day: 6, calls_per_month: 15 },
  starter: { calls_per_day: 9, calls_per_month: 24 },
} as const

export interface YearsMember {
  userId: string
  key: string
  period: Period | 'never'
}

export interface YearsCompany {
  id: string
  name: string
  tier: keyof typeof TIERS | 'unlimited'
  refresh: bigint
  members: YearsMember[]
}

const PERIODS = ['daily', 'weekly', 'monthly', 'never'] as const
const TIER_NAMES = ['trial', 'starter', 'unlimited'] as const

export async function createYearsCompanies(database: Database, count: number): Promise<YearsCompany[]> {
  const companies: YearsCompany[] = []
  for (let index = 0; index < count; index += 1) {
    const name = `years-${index}`
    const tier = TIER_NAMES[index % TIER_NAMES.length] ?? 'unlimited'
    const refresh = index % 2 === 0 ? BigInt(100 + index) : 0n
    const { id } = await createOrganization(database, { name, plan: 'platform', credits: CREDITS * MICRO })
    const members: YearsMember[] = []
    for (const [at, period] of PERIODS.entries()) {
      const userId = `${name}-${period}`
      const role = at === 0 ? ('owner' as const) : ('member' as const)
      const { key } = await createKey(database, {
        organization: id,
        user: userId,
        allocate: ALLOCATED * MICRO,
        role,
        name: null,
      })
      members.push({ userId, key, period })
    }
    await setUp(database, { id, tier, refresh })
    companies.push({ id, name, tier, refresh, members })
  }
  return companies
}

/** What an operator sets by SQL: the refresh of a pool and the tier; and the period of each member, as its id says. */
async function setUp(
  { pool }: Database,
  { id, tier, refresh }: Pick<YearsCompany, 'id' | 'tier' | 'refresh'>,
): Promise<void> {
  await pool.query('update organizations set plan_tier = $2 where id = $1', [
    id,
    tier === 'unlimited' ? 'enterprise' : tier,
  ])
  await pool.query(
    `update organization_credit_pools set monthly_refresh_amount = $2,
      next_refresh_date = tollgate.ledger_next_date('monthly', created_at, created_at, created_at) where org_id = $1`,
    [id, String(refresh)],
  )
  await pool.query(
    `update user_credit_allocations set reset_period = split_part(user_id, '-', 3),
      next_reset_date = tollgate.ledger_next_date(split_part(user_id, '-', 3), created_at, created_at, created_at) where org_id = $1`,
    [id],
  )
}
