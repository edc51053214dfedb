/**
 * The model's books: only what happened is kept (what was bought, granted, spent, wiped by resets; holds; rows of calls), and
 * every balance is derived from it, so that a balance that drifts in the database can't drift here in the same way.
 * Amounts are microcredits, instants are milliseconds. What may happen is in rules.ts.
 */
import { trimDecimal } from '../../../src/metering/money.ts'
import { type Limit, nameOfLimit } from './limit.ts'
import { showSlices } from './slices.ts'
import { showLines, type Waiter } from './waiters.ts'

export interface Organization {
  name: string
  active: boolean
  /** What allocations may go below zero together. Null: unlimited. */
  overage: { limit: bigint | null } | 'not allowed'
  /** Purchases, refreshes and what corrections gave back. */
  bought: bigint
  refresh: bigint
  nextRefresh: number | null
  subscribed: boolean
  createdDay: number
}

export interface Allocation {
  org: string
  user: string
  granted: bigint
  spent: bigint
  /** Given back by resets. */
  wiped: bigint
  period: 'daily' | 'weekly' | 'monthly' | 'never'
  nextReset: number | null
  createdDay: number
}

export interface Hold {
  call: number
  owner: number
  org: string
  user: string
  state: 'open' | 'settled' | 'released' | 'recovered'
  held: bigint
  input: bigint
  /** What it would be larger by at a token a byte. */
  margin: bigint
  /** Of its media, what its payer's credits do not cover. */
  unheld: bigint
  checkpoint: bigint | null
  charged: bigint | null
  /** Where it counts while it runs; a key that has a budget is among them. */
  limits: readonly Limit[]
  /** A key without a budget: what the call costs is counted when it is over. */
  countedKey: string | null
}

/** The key a call was sent with. */
export function keyOf({ countedKey, limits }: Pick<Hold, 'countedKey' | 'limits'>): string | null {
  return countedKey ?? limits.find(({ kind }) => kind === 'key')?.id ?? null
}

/** The rows a call left. */
export interface Rows {
  charge: bigint
  /** Signed differences of the two corrections there may be. */
  recovery: bigint | null
  dispute: bigint | null
  /** The provider's statement was not believed. */
  disputed: boolean
}

export interface Process {
  leaseUntil: number
  end: 'dead' | 'stopped' | null
}

export interface Deduction {
  org: string
  user: string
  amount: bigint
  requestId: string | null
  at: number
}

export interface State {
  now: number
  organizations: Organization[]
  allocations: Allocation[]
  holds: Map<number, Hold>
  rows: Map<number, Rows>
  deductions: Deduction[]
  processes: Map<number, Process>
  /** Of keys that have one. */
  budgets: Map<string, bigint>
  /** In the order in which they came. */
  waiters: Waiter[]
  /** Calls that must have been told in this step that it is their turn. */
  called: Set<number>
  /** What slices were given of the limit that all share, by their names. */
  slices: Map<string, { limit: Limit; amount: bigint }>
}

const sum = <T>(items: Iterable<T>, amount: (item: T) => bigint): bigint => {
  let total = 0n
  for (const item of items) total += amount(item)
  return total
}
export const most = (a: bigint, b: bigint): bigint => (a > b ? a : b)
export const least = (a: bigint, b: bigint): bigint => (a < b ? a : b)
export const credits = (micro: bigint): string => trimDecimal(micro, 6)

export class Books {
  readonly state: State

  constructor(state: State) {
    this.state = state
  }

  organization(name: string): Organization {
    const found = this.state.organizations.find((organization) => organization.name === name)
    if (found === undefined) throw new Error(`the model has no organization ${name}`)
    return found
  }

  allocation(org: string, user: string): Allocation | undefined {
    return this.state.allocations.find((allocation) => allocation.org === org && allocation.user === user)
  }

  allocationsOf(org: string): Allocation[] {
    return this.state.allocations.filter((allocation) => allocation.org === org)
  }

  openHolds(): Hold[] {
    return [...this.state.holds.values()].filter((hold) => hold.state === 'open')
  }

  heldBy(org: string, user?: string): bigint {
    const mine = this.openHolds().filter((hold) => hold.org === org && (user === undefined || hold.user === user))
    return sum(mine, (hold) => hold.held)
  }

  /** What a user's running calls would hold more at a token a byte. */
  margin({ org, user }: { org: string; user: string }): bigint {
    const mine = this.openHolds().filter((hold) => hold.org === org && hold.user === user)
    return sum(mine, (hold) => hold.margin)
  }

  /** Whether a call runs whose media are not held in full. */
  holdsUnheld(org: string): boolean {
    return this.openHolds().some((hold) => hold.org === org && hold.unheld > 0n)
  }

  /** What a user has left: without holds. */
  left({ granted, spent, wiped }: Allocation): bigint {
    return granted - spent + wiped
  }

  /** What a user has left that no running call has set aside. Below zero after a booked overage. */
  free(allocation: Allocation): bigint {
    return this.left(allocation) - this.heldBy(allocation.org, allocation.user)
  }

  pool(org: string): { total: bigint; allocated: bigint; used: bigint; held: bigint; overage: bigint } {
    const allocations = this.allocationsOf(org)
    return {
      total: this.organization(org).bought,
      allocated: sum(allocations, ({ granted, wiped }) => granted + wiped),
      used: sum(allocations, ({ spent }) => spent),
      held: this.heldBy(org),
      overage: sum(allocations, (allocation) => most(-this.free(allocation), 0n)),
    }
  }

  /** What is on the books for a call. */
  chargedFor(call: number): bigint {
    const rows = this.state.rows.get(call)
    return rows === undefined ? 0n : rows.charge + (rows.recovery ?? 0n) + (rows.dispute ?? 0n)
  }

  limitHeld(limit: Limit): bigint {
    const touching = this.touching(limit).filter((hold) => hold.state === 'open')
    return limit.unit === 'calls' ? BigInt(touching.length) * 1_000_000n : sum(touching, (hold) => hold.held)
  }

  limitUsed(limit: Limit): bigint {
    const counting = [...this.state.holds.values()].filter((hold) => this.counts(hold, limit))
    const closed = [...this.touching(limit), ...counting].filter((hold) => hold.state !== 'open')
    if (limit.unit === 'credits') return sum(closed, (hold) => this.chargedFor(hold.call))
    // A released call was no call, unless it turned out to have run after all.
    const ran = closed.filter((hold) => hold.state !== 'released' || this.state.rows.get(hold.call)?.recovery != null)
    return BigInt(ran.length) * 1_000_000n
  }

  /** A slice that nobody filled yet has nothing. */
  amountOf(limit: Limit): bigint | null {
    return limit.kind === 'proxy' ? (this.state.slices.get(nameOfLimit(limit))?.amount ?? 0n) : limit.amount
  }

  limitLeft(limit: Limit): bigint | null {
    const amount = this.amountOf(limit)
    return amount === null ? null : amount - this.limitHeld(limit) - this.limitUsed(limit)
  }

  keyLimit(key: string): Limit {
    return { kind: 'key', id: key, window: 0, unit: 'credits', amount: this.state.budgets.get(key) ?? null }
  }

  keyUsed(key: string | null): bigint | null {
    return key === null ? null : this.limitUsed(this.keyLimit(key))
  }

  leaseIsValid(process: number): boolean {
    const found = this.state.processes.get(process)
    return found !== undefined && found.end === null && found.leaseUntil > this.state.now
  }

  /** Everything the database can be asked for, in the words in which real.ts answers. */
  snapshot(): Snapshot {
    const { organizations, allocations, holds, rows, deductions, processes } = this.state
    const limits = new Map<string, Limit>()
    for (const hold of holds.values()) {
      const counting = hold.countedKey === null ? [] : [this.keyLimit(hold.countedKey)]
      for (const limit of [...hold.limits, ...counting]) limits.set(nameOfLimit(limit), limit)
    }
    const counted = [...limits].map(([name, limit]) => [name, this.limitHeld(limit), this.limitUsed(limit)] as const)
    return {
      pools: record(organizations, ({ name }) => [name, this.poolLine(name)]),
      users: record(allocations, (allocation) => [`${allocation.org}/${allocation.user}`, this.userLine(allocation)]),
      limits: record(
        counted.filter(([, held, used]) => held !== 0n || used !== 0n),
        ([name, held, used]) => [name, `held ${credits(held)} used ${credits(used)}`],
      ),
      holds: record(holds.values(), (hold) => [`call ${hold.call}`, holdLine(hold)]),
      rows: record(rows, ([call, { charge, recovery, dispute }]) => [
        `call ${call}`,
        `charge ${credits(charge)} recovery ${amountOrNone(recovery)} dispute ${amountOrNone(dispute)}`,
      ]),
      deductions: deductions.map(({ org, user, amount }) => `${org}/${user} ${credits(amount)}`).sort(byName),
      processes: record(processes, ([id, { end }]) => [`process ${id}`, end ?? 'live']),
      waiters: record(showLines(this), (line) => line),
      slices: record(showSlices(this), (line) => line),
    }
  }

  private poolLine(org: string): string {
    const { total, allocated, used, held, overage } = this.pool(org)
    const next = amountOrNone(this.organization(org).nextRefresh)
    return `total ${credits(total)} allocated ${credits(allocated)} used ${credits(used)} held ${credits(held)} overage ${credits(overage)} refresh ${next}`
  }

  private userLine(allocation: Allocation): string {
    const { org, user, granted, spent, wiped, nextReset } = allocation
    const held = credits(this.heldBy(org, user))
    const margin = credits(this.margin(allocation))
    return `allocated ${credits(granted)} used ${credits(spent - wiped)} held ${held} margin ${margin} reset ${amountOrNone(nextReset)}`
  }

  private counts({ countedKey }: Hold, limit: Limit): boolean {
    return countedKey !== null && nameOfLimit(this.keyLimit(countedKey)) === nameOfLimit(limit)
  }

  private touching(limit: Limit): Hold[] {
    const name = nameOfLimit(limit)
    return [...this.state.holds.values()].filter((hold) => hold.limits.some((other) => nameOfLimit(other) === name))
  }

  clone(): Books {
    return new Books(structuredClone(this.state))
  }
}

type Part = 'pools' | 'users' | 'limits' | 'holds' | 'rows' | 'processes' | 'waiters' | 'slices'

export type Snapshot = Record<Part, Record<string, string>> & { deductions: string[] }

export function amountOrNone(amount: bigint | number | null): string {
  if (amount === null) return 'none'
  return typeof amount === 'bigint' ? credits(amount) : new Date(amount).toISOString()
}

/** By code points, as PostgreSQL sorts ids. */
export const byName = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

function holdLine({ state, held, checkpoint, charged }: Hold): string {
  return `${state} held ${credits(held)} checkpoint ${amountOrNone(checkpoint)} charged ${amountOrNone(charged)}`
}

/** Sorted by name, so that two of them compare as text. */
export function record<T>(items: Iterable<T>, line: (item: T) => readonly [string, string]): Record<string, string> {
  return Object.fromEntries([...items].map(line).sort(([a], [b]) => (a < b ? -1 : 1)))
}
