/** What time does to the model's books: refreshes of pools and resets of allocations, made when something touches them. */
import { type Allocation, type Books, least } from './books.ts'

const DAY_MS = 86_400_000

/** The instants from + k periods that are after now, first of them. A series begun on the 31st has the last day of short months. */
function firstAfter(period: Allocation['period'], from: number, now: number, createdDay: number): number | null {
  if (period === 'never') return null
  let next = from
  for (let k = 1; next <= now; k += 1) {
    next = period === 'monthly' ? monthsLater(from, k, createdDay) : from + k * (period === 'daily' ? 1 : 7) * DAY_MS
  }
  return next
}

export function monthsLater(from: number, months: number, day: number): number {
  const date = new Date(from)
  const first = new Date(date)
  first.setUTCDate(1)
  first.setUTCMonth(first.getUTCMonth() + months)
  const lastDay = new Date(Date.UTC(first.getUTCFullYear(), first.getUTCMonth() + 1, 0)).getUTCDate()
  first.setUTCDate(Math.min(day, lastDay))
  return first.getTime()
}

/** Does what is due for a user: the pool's refresh, once for every period that passed, then the allocation's reset. */
export function touch(books: Books, org: string, user: string): void {
  const { now } = books.state
  const organization = books.organization(org)
  while (organization.nextRefresh !== null && organization.nextRefresh <= now) {
    if (organization.subscribed) organization.bought += organization.refresh
    organization.nextRefresh = monthsLater(organization.nextRefresh, 1, organization.createdDay)
  }
  const allocation = books.allocation(org, user)
  if (allocation === undefined || allocation.nextReset === null || allocation.nextReset > now) return
  const { total, allocated } = books.pool(org)
  // As much of what was used as the pool can cover.
  allocation.wiped += least(allocation.spent - allocation.wiped, total - allocated)
  allocation.nextReset = firstAfter(allocation.period, allocation.nextReset, now, allocation.createdDay)
}

export function touchAll(books: Books, calls: readonly { org: string; user: string }[]): void {
  const known = calls.filter(({ org, user }) => books.allocation(org, user) !== undefined)
  const names = new Map(known.map(({ org, user }) => [`${org}/${user}`, [org, user] as const]))
  for (const [, [org, user]] of [...names].sort(([a], [b]) => (a < b ? -1 : 1))) touch(books, org, user)
}
