/** The public SQL functions as the model does them. */
import type { Allocation, Books } from './books.ts'
import { most } from './books.ts'
import { monthsLater, touch } from './due.ts'
import { room, spend } from './rules.ts'

/** Refused: nothing at all is left of it, a reset it found due included. */
export type PublicAnswer = 'true' | `refused: ${string}`

export function purchase(books: Books, org: string, amount: bigint): PublicAnswer {
  books.organization(org).bought += amount
  return 'true'
}

export function allocate(books: Books, org: string, user: string, amount: bigint): PublicAnswer {
  touch(books, org, user)
  const { total, allocated } = books.pool(org)
  if (total - allocated < amount) return 'refused: Insufficient credits in pool'
  const allocation = books.allocation(org, user)
  if (allocation !== undefined) allocation.granted += amount
  else {
    const { now } = books.state
    const createdDay = new Date(now).getUTCDate()
    const nextReset = monthsLater(now, 1, createdDay)
    const entry: Allocation = {
      org,
      user,
      granted: amount,
      spent: 0n,
      wiped: 0n,
      period: 'monthly',
      nextReset,
      createdDay,
    }
    books.state.allocations.push(entry)
  }
  return 'true'
}

export function deduct(
  books: Books,
  org: string,
  user: string,
  amount: bigint,
  requestId: string | null,
): PublicAnswer {
  const { now, deductions } = books.state
  touch(books, org, user)
  const recent = deductions.filter((other) => other.requestId === requestId && other.at > now - 600_000)
  const isRepeat = recent.some((other) => other.org === org && other.user === user && other.amount === amount)
  if (requestId !== null && isRepeat) return 'true'
  const allocation = books.allocation(org, user)
  if (allocation === undefined) return 'refused: No credit allocation found'
  if (!books.organization(org).active) return 'refused: not active'
  const free = room(books, allocation)
  if (free !== null && amount > most(free - books.margin(allocation), 0n)) return 'refused: Insufficient credits'
  spend(books, { org, user }, amount)
  deductions.push({ org, user, amount, requestId, at: now })
  return 'true'
}
