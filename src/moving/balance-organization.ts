/**
 * The balances an organization will have here. What can be spent is the same as there: of every user what was allocated, what is used and
 * what is left; of the pool what was bought. Where rows and balances disagree there, the rows get a row more, in the journal or in the
 * use, so that the audit here adds up; each is named in the report.
 */
import type { MovedOrganization } from './organization.ts'

export interface Balance {
  pool: { total: bigint; allocated: bigint; used: bigint; overage: bigint }
  /** Credits that allocations hand out above what the pool ever had. */
  shortage: bigint
  users: UserBalance[]
}

export interface UserBalance {
  user: string
  allocated: bigint
  used: bigint
  /** Use without rows: it becomes one row. */
  unexplained: bigint
  /** Rows above the use: they were given back there without a row. */
  givenBack: bigint
}

export function balanceOrganization({ pool, allocations }: MovedOrganization): Balance {
  const users = [...allocations].map(([user, { allocated, used, charged }]) => ({
    user,
    allocated,
    used,
    unexplained: positive(used - charged),
    givenBack: positive(charged - used),
  }))
  const sum = (of: (user: UserBalance) => bigint) => users.reduce((total, user) => total + of(user), 0n)
  const givenBack = sum((user) => user.givenBack)
  const allocated = sum((user) => user.allocated)
  const bought = positive(pool?.total ?? 0n)
  const shortage = positive(allocated - bought)
  return {
    pool: {
      total: bought + shortage + givenBack,
      allocated: allocated + givenBack,
      used: sum((user) => user.used) + givenBack,
      overage: sum((user) => positive(user.used - user.allocated)),
    },
    shortage,
    users,
  }
}

function positive(amount: bigint): bigint {
  return amount > 0n ? amount : 0n
}
