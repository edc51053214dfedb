/** What can happen in a run, as fast-check commands. Each goes through the database and the model, then both must agree. */
import type fc from 'fast-check'
import { type Operation, operation, type Plan, wayOf } from './operations.ts'
import type { RealLedger, Seat } from './real.ts'
import * as rules from './rules.ts'
import { firstInLines } from './waiters.ts'
import { expectOneOf, show, type Way, type World } from './world.ts'

export type Command = fc.AsyncCommand<World, RealLedger>

/** Two concurrent steps are over when both are; the first error counts. */
async function both<A, B>(first: Promise<A>, second: Promise<B>): Promise<[A, B]> {
  const [a, b] = await Promise.allSettled([first, second])
  if (a.status === 'rejected') throw a.reason
  if (b.status === 'rejected') throw b.reason
  return [a.value, b.value]
}

const planText = (plan: Plan) => `${plan.kind} ${show(plan)}`
const BY_PROCESS: ReadonlySet<Plan['kind']> = new Set(['hold', 'leave', 'fill', 'progress', 'close'])
const seatOf = (plan: Plan, process: 'a' | 'b'): Seat => (BY_PROCESS.has(plan.kind) ? process : 'sql')

/** One operation, on one connection. */
export class Do implements Command {
  readonly plan: Plan
  readonly process: 'a' | 'b'
  constructor(plan: Plan, process: 'a' | 'b') {
    this.plan = plan
    this.process = process
  }
  check = (): boolean => true
  async run(world: World, real: RealLedger): Promise<void> {
    const seat = seatOf(this.plan, this.process)
    const one = operation(world, seat, this.plan)
    if (one === undefined) return
    world.tells(one.text)
    const answers = await one.real(real, seat)
    await expectOneOf(world, real, [wayOf(world.books, one)], answers)
  }
  toString = (): string => planText(this.plan)
}

/** Two operations at once, on two connections: as if one came after the other. */
export class AtOnce implements Command {
  readonly first: Plan
  readonly second: Plan | 'the same'
  constructor(first: Plan, second: Plan | 'the same') {
    this.first = first
    this.second = second
  }
  check = (): boolean => true
  async run(world: World, real: RealLedger): Promise<void> {
    const one = operation(world, 'a', this.first)
    const other = this.second === 'the same' ? one : operation(world, 'b', this.second)
    if (one === undefined || other === undefined) return
    world.tells(`at once: ${one.text} | ${other.text}`)
    const answers = await both(one.real(real, 'a'), other.real(real, 'b'))
    const forwards = wayOf(world.books, one, other)
    const backwards = wayOf(world.books, other, one)
    const ways: Way[] = [
      { books: forwards.books, answers: forwards.all },
      { books: backwards.books, answers: [...backwards.all].reverse() },
    ]
    await expectOneOf(world, real, ways, answers)
  }
  toString = (): string =>
    `atOnce(${planText(this.first)} | ${this.second === 'the same' ? this.second : planText(this.second)})`
}

/**
 * The server process of a connection ends while it is at an operation, or just after: nobody knows which. Operations known by
 * their calls are sent again on a new connection, and that must be as if they had been sent once; the others are not.
 */
export class Kill implements Command {
  readonly plan: Plan
  constructor(plan: Plan) {
    this.plan = plan
  }
  check = (): boolean => true
  async run(world: World, real: RealLedger): Promise<void> {
    const one = operation(world, 'a', this.plan)
    if (one === undefined) return
    const isPublic = seatOf(this.plan, 'a') === 'sql'
    world.tells(`connection lost${isPublic ? '' : ', sent again'}: ${one.text}`)
    const lost = one.real(real, 'a').catch((error: unknown) => {
      if (!isLostConnection(error)) throw error
    })
    try {
      await both(lost, real.terminate('a'))
    } finally {
      await real.connect('a')
    }
    const once = wayOf(world.books, one)
    if (isPublic) {
      const ways = [
        { books: world.books, answers: 'nobody knows' },
        { books: once.books, answers: 'nobody knows' },
      ]
      return expectOneOf(world, real, ways, 'nobody knows')
    }
    const ways = [once, wayOf(world.books, one, one)]
    await expectOneOf(world, real, ways, await one.real(real, 'a'))
  }
  toString = (): string => `kill(${planText(this.plan)})`
}

function isLostConnection(error: unknown): boolean {
  const { code = '', message = '' } = error as { code?: string; message?: string }
  return code === '57P01' || message.startsWith('Connection terminated') || code === 'ECONNRESET'
}

/**
 * Time passes. Every process but a sleeping one renews its lease; one that slept too long is found dead by the next Recover,
 * and what it settles after that is late.
 */
export class Wait implements Command {
  readonly seconds: number
  readonly asleep: 'a' | 'b' | 'nobody'
  constructor(seconds: number, asleep: 'a' | 'b' | 'nobody') {
    this.seconds = seconds
    this.asleep = asleep
  }
  check = (): boolean => true
  async run(world: World, real: RealLedger): Promise<void> {
    const books = world.books.clone()
    books.state.now += this.seconds * 1_000
    const leaseUntil = books.state.now + rules.LEASE_MS
    const awake = (['a', 'b'] as const).filter((seat) => seat !== this.asleep).map((seat) => world.processes[seat])
    for (const process of awake) {
      const found = books.state.processes.get(process)
      if (found?.end === null) found.leaseUntil = leaseUntil
    }
    const sleeper = this.asleep === 'nobody' ? '' : ` while process ${world.processes[this.asleep]} sleeps`
    world.tells(`${this.seconds} s pass${sleeper}`)
    await real.advance(books.state.now, awake, leaseUntil)
    await expectOneOf(world, real, [{ books, answers: null }], null)
  }
  toString = (): string => `wait(${this.seconds} s, ${this.asleep} asleep)`
}

/** The process at a seat ends, well (stopped) or not (its lease runs out), and another takes its place. */
export class Restart implements Command {
  readonly seat: 'a' | 'b'
  readonly isCrash: boolean
  constructor(seat: 'a' | 'b', isCrash: boolean) {
    this.seat = seat
    this.isCrash = isCrash
  }
  check = (): boolean => true
  async run(world: World, real: RealLedger): Promise<void> {
    const books = world.books.clone()
    const old = world.processes[this.seat]
    const next = world.mintProcess()
    const leaseUntil = books.state.now + rules.LEASE_MS
    world.tells(`process ${old} ${this.isCrash ? 'is killed' : 'stops'}, process ${next} starts`)
    const found = books.state.processes.get(old)
    if (!this.isCrash && found?.end === null) {
      found.end = 'stopped'
      await real.stopProcess(old)
    }
    books.state.processes.set(next, { leaseUntil, end: null })
    world.processes[this.seat] = next
    await real.startProcess(next, leaseUntil)
    await expectOneOf(world, real, [{ books, answers: null }], null)
  }
  toString = (): string => `${this.isCrash ? 'crash' : 'restart'}(${this.seat})`
}

/** A process looks who is first in each line, as it does while calls of it wait. */
export class Look implements Command {
  readonly seat: 'a' | 'b'
  constructor(seat: 'a' | 'b') {
    this.seat = seat
  }
  check = ({ books }: Readonly<World>): boolean => books.state.waiters.length > 0
  async run(world: World, real: RealLedger): Promise<void> {
    world.tells('look who is first')
    const found = await real.firstInLines(this.seat)
    await expectOneOf(world, real, [{ books: world.books, answers: firstInLines(world.books) }], found)
  }
  toString = (): string => `look(${this.seat})`
}

/** An organization is suspended, or active again. */
export class Suspend implements Command {
  readonly org: string
  constructor(org: string) {
    this.org = org
  }
  check = (): boolean => true
  async run(world: World, real: RealLedger): Promise<void> {
    const books = world.books.clone()
    const organization = books.organization(this.org)
    organization.active = !organization.active
    world.tells(`${this.org} is ${organization.active ? 'active' : 'suspended'}`)
    await real.setActive(this.org, organization.active)
    await expectOneOf(world, real, [{ books, answers: null }], null)
  }
  toString = (): string => `suspend(${this.org})`
}

/** Two connections recover what processes that are gone hold, at once; perhaps one of those is only late, and settles meanwhile. */
export class Recover implements Command {
  readonly most: number
  readonly late: Plan | null
  constructor(most: number, late: Plan | null) {
    this.most = most
    this.late = late
  }
  check = (): boolean => true
  async run(world: World, real: RealLedger): Promise<void> {
    const marked = world.books.clone()
    const organizations = rules.findDead(marked)
    world.tells('look for the dead')
    const found = await real.findDead()
    await expectOneOf(world, real, [{ books: marked, answers: organizations }], found)
    for (const org of organizations) await this.recoverOne(world, real, org)
  }

  private async recoverOne(world: World, real: RealLedger, org: string): Promise<void> {
    const isCut = rules.orphans(world.books, org).length <= CUT_AT_MOST
    const late = this.late === null || !isCut ? undefined : operation(world, 'sql', this.late)
    // With a settlement at the same time two limits would be one question too many: who got which call.
    const most = late === undefined ? this.most : 100
    world.tells(`recover ${org} twice at once, at most ${most}${late === undefined ? '' : ` | ${late.text}`}`)
    const recoveries = both(real.recover('a', org, most), real.recover('b', org, most))
    const settled = late?.real(real, 'sql') ?? Promise.resolve(null)
    const [[a, b], answers] = await both(recoveries, settled)
    const together = {
      recovered: a.recovered + b.recovered,
      released: a.released + b.released,
      credits: a.credits + b.credits,
    }
    const calls = rules.orphans(world.books, org).slice(0, 2 * most)
    const ways = splits(calls, late !== undefined).flatMap(([before, after]) =>
      waysToRecover(world, before, late, after),
    )
    await expectOneOf(world, real, ways, [together, answers])
  }
  toString = (): string => `recover(${this.most}${this.late === null ? '' : ` | ${planText(this.late)}`})`
}

/** More orphans could be cut in too many ways to try them all. */
const CUT_AT_MOST = 4

/** A process ends and what it held is recovered at once: most of what can go wrong after a recovery needs one to have happened. */
export class Lose implements Command {
  readonly steps: readonly Command[]
  constructor(seat: 'a' | 'b') {
    this.steps = [new Restart(seat, false), new Recover(100, null)]
  }
  check = (): boolean => true
  async run(world: World, real: RealLedger): Promise<void> {
    for (const step of this.steps) await step.run(world, real)
  }
  toString = (): string => this.steps.join(', ')
}

type Orphan = ReturnType<typeof rules.orphans>[number]

/** Every way a concurrent settlement may cut the calls in those recovered before and after it. */
function splits(calls: readonly Orphan[], cut: boolean): [Orphan[], Orphan[]][] {
  if (!cut) return [[[...calls], []]]
  const subsets = Array.from({ length: 2 ** calls.length }, (_, subset) => subset)
  return subsets.map((subset) => [
    calls.filter((_, index) => (subset >> index) & 1),
    calls.filter((_, index) => !((subset >> index) & 1)),
  ])
}

function waysToRecover(world: World, before: Orphan[], late: Operation | undefined, after: Orphan[]): Way[] {
  return userOrders([...before, ...after]).map((users) => {
    const books = world.books.clone()
    const total: rules.Recovery = { recovered: 0, released: 0, credits: 0n }
    const recover = (calls: Orphan[]) => {
      // Two recoveries share the calls as it comes: whose reset is made first is theirs to say.
      for (const user of users) {
        const open = calls.filter(({ call, user: of }) => of === user && books.state.holds.get(call)?.state === 'open')
        const part = rules.recover(books, open)
        total.recovered += part.recovered
        total.released += part.released
        total.credits += part.credits
      }
    }
    recover(before)
    const answers = late?.model(books) ?? null
    recover(after)
    return { books, answers: [total, answers] }
  })
}

function userOrders(calls: readonly Orphan[]): string[][] {
  const users = [...new Set(calls.map(({ user }) => user))].sort()
  if (users.length === 0) return [[]]
  return users.map((first) => [first, ...users.filter((user) => user !== first)])
}
