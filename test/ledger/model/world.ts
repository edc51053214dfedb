/** A run's model side: the books as they must be, the story so far, and the check that the database tells the same one. */
import { Books, credits, type Organization, type Snapshot } from './books.ts'
import { monthsLater } from './due.ts'
import type { RealLedger, Seat } from './real.ts'
import { LEASE_MS } from './rules.ts'

export const ORGANIZATIONS = ['acme', 'zeta'] as const
export const USERS = ['alice', 'bob', 'carol'] as const
const CREDIT = 1_000_000n
const START = Date.parse('2031-01-15T12:00:00Z')

/** What a run starts with. All zero is the plainest. */
export interface Setup {
  /** Of acme and zeta: credits its allocations may go below zero together. */
  overages: readonly (number | 'not allowed' | 'unlimited')[]
  /** What each pool has beyond what is allocated. */
  spare: number
  /** What each pool gets every month. */
  refresh: number
  subscribed: boolean
  /** Credits the key of acme's Alice may spend. Null: no limit, as for all other keys. */
  budget: number | null
}

export class World {
  books: Books
  readonly story: string[] = []
  /** The process that now sits at each seat. */
  readonly processes: Record<'a' | 'b', number> = { a: 1, b: 2 }
  private calls = 0
  private lastProcess = 2

  constructor(setup: Setup) {
    const organizations = ORGANIZATIONS.map((name, index) => organizationOf(name, setup, setup.overages[index]))
    const next = { daily: START + 86_400_000, monthly: monthsLater(START, 1, 15), never: null }
    const granted = (org: string, user: string, amount: bigint, period: keyof typeof next) => {
      const counters = { granted: amount * CREDIT, spent: 0n, wiped: 0n }
      return { org, user, ...counters, period, nextReset: next[period], createdDay: 15 }
    }
    const lease = { leaseUntil: START + LEASE_MS, end: null }
    this.books = new Books({
      now: START,
      organizations,
      allocations: [
        // Bob before Alice: a batch serves and locks users by name, whatever order they were made in.
        granted('acme', 'bob', 60n, 'never'),
        granted('acme', 'alice', 100n, 'daily'),
        granted('zeta', 'bob', 40n, 'daily'),
        granted('zeta', 'alice', 80n, 'monthly'),
      ],
      holds: new Map(),
      rows: new Map(),
      deductions: [],
      processes: new Map([
        [1, { ...lease }],
        [2, { ...lease }],
      ]),
      budgets: new Map(setup.budget === null ? [] : [['acme/alice', BigInt(setup.budget) * CREDIT]]),
      waiters: [],
      called: new Set(),
      slices: new Map(),
    })
  }

  /** Told before the step is made, so that a story which ends in an error of the database is whole. */
  tells(step: string): void {
    this.story.push(step)
  }

  /** A call nobody has seen yet. */
  mintCall(): number {
    this.calls += 1
    return this.calls
  }

  mintProcess(): number {
    this.lastProcess += 1
    return this.lastProcess
  }

  /** The process at a seat; `sql` has none and acts for the one at `a`. */
  processAt(seat: Seat): number {
    return this.processes[seat === 'sql' ? 'a' : seat]
  }
}

function organizationOf(name: string, setup: Setup, overage: Setup['overages'][number] = 'not allowed'): Organization {
  const limit = overage === 'unlimited' || overage === 'not allowed' ? null : BigInt(overage) * CREDIT
  return {
    name,
    active: true,
    overage: overage === 'not allowed' ? overage : { limit },
    bought: ((name === 'acme' ? 160n : 120n) + BigInt(setup.spare)) * CREDIT,
    refresh: BigInt(setup.refresh) * CREDIT,
    nextRefresh: monthsLater(START, 1, 15),
    subscribed: setup.subscribed,
    createdDay: 15,
  }
}

/** One way a step may have gone: what it answered and the books it left. */
export interface Way {
  books: Books
  answers: unknown
}

/** The step went one of the ways the model knows, by its answers and by the database's books. The world goes on from there. */
export async function expectOneOf(
  world: World,
  real: RealLedger,
  ways: readonly Way[],
  answers: unknown,
): Promise<void> {
  const got = show(answers)
  const answered = ways.filter((way) => show(way.answers) === got)
  world.story[world.story.length - 1] += `\n      -> ${got}`
  if (answered.length === 0) {
    const expected = [...new Set(ways.map((way) => show(way.answers)))].join('\n      or ')
    throw new Error(tell(world, `the answer should have been\n      ${expected}`))
  }
  const { books: found, order } = await real.snapshot()
  const told = real.takeTold()
  const wanted = inOrder(found)
  const way = answered.find(({ books }) => inOrder(books.snapshot()) === wanted)
  if (way === undefined) {
    const differences = answered.map(({ books }) => difference(books.snapshot(), found)).join('\n    or\n')
    throw new Error(tell(world, `the books differ\n${differences}`))
  }
  world.books = way.books
  const { state } = world.books
  // Where two things happen at once, one may end too late to see that the other waits. It is found by who looks. Whom the same step
  // answered waits no longer.
  const waits = new Set(state.waiters.map(({ asked }) => asked.call))
  const untold = ways.length > 1 ? [] : [...state.called].filter((call) => waits.has(call) && !told.has(call))
  if (untold.length > 0) throw new Error(tell(world, `the answer should have been told to call ${untold.join(', ')}`))
  state.called.clear()
  // Who came first of two that wait for different things is for the database to say.
  const place = ({ asked }: (typeof state.waiters)[number]) => order.indexOf(asked.call)
  state.waiters.sort((a, b) => place(a) - place(b))
  expectSound(world)
}

function inOrder(snapshot: Snapshot): string {
  return JSON.stringify(Object.entries(snapshot).sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** What must hold whatever happened; the model itself could be wrong. */
function expectSound(world: World): void {
  const { books } = world
  for (const { name } of books.state.organizations) {
    const { total, allocated, used, held } = books.pool(name)
    const left = books.allocationsOf(name).reduce((sum, allocation) => sum + books.left(allocation), 0n)
    if (allocated - used !== left) throw new Error(tell(world, `${name}: allocated - used is not what users have left`))
    if (allocated > total) throw new Error(tell(world, `${name}: more is allocated than there is`))
    if (held < 0n) throw new Error(tell(world, `${name}: less than nothing is held`))
  }
}

export function tell(world: World, end: string): string {
  const steps = world.story.map((step, index) => `  ${index + 1}. ${step}`)
  return `${steps.join('\n')}\n  but ${end}`
}

function difference(model: Snapshot, database: Snapshot): string {
  const lines: string[] = []
  for (const part of Object.keys(model) as (keyof Snapshot)[]) {
    const expected = model[part] as Record<string, string>
    const found = database[part] as Record<string, string>
    for (const name of new Set([...Object.keys(expected), ...Object.keys(found)])) {
      if (expected[name] === found[name]) continue
      lines.push(`    ${part} ${name}: must be ${expected[name] ?? 'absent'}`)
      lines.push(`    ${' '.repeat(part.length + name.length + 1)}    but is ${found[name] ?? 'absent'}`)
    }
  }
  return lines.join('\n')
}

/** A value in one line, its members in the order of their names: two that say the same compare as text. */
export function show(value: unknown): string {
  const text = JSON.stringify(value, (_, item: unknown) => {
    if (typeof item === 'bigint') return credits(item)
    if (typeof item !== 'object' || item === null || Array.isArray(item)) return item
    const told = Object.entries(item).filter(([, member]) => member !== null)
    return Object.fromEntries(told.sort(([a], [b]) => (a < b ? -1 : 1)))
  })
  return text.replaceAll('"', '')
}
