/** Runs of random commands against model and database; a failure is told as the shortest story that shows it. */
import fc from 'fast-check'
import pg from 'pg'
import { AtOnce, type Command, Do, Kill, Look, Lose, Recover, Restart, Suspend, Wait } from './commands.ts'
import { closing, type Plan, wayOf } from './operations.ts'
import type { RealLedger } from './real.ts'
import { expectOneOf, ORGANIZATIONS, type Setup, show, tell, World } from './world.ts'

export interface CheckOptions {
  seed: number
  runs: number
  /** `path` of fast-check, and after a `|` its replayPath: of a failure that is replayed. */
  path?: string | undefined
  /** How to run a failure again. */
  replay: (path: string) => string
}

export interface Checked {
  runs: number
  steps: number
}

const MAX_COMMANDS = 20
/** Runs between two emptyings of the tables: an audit reads every row. */
const RUNS_REMEMBERED = 200
/** The model compares nearly all an audit does after each step; while a failure is shortened every run is audited. */
const RUNS_PER_AUDIT = 10

export async function checkLedger(real: RealLedger, { seed, runs, path, replay }: CheckOptions): Promise<Checked> {
  const [shrinkPath, replayPath] = path?.split('|') ?? []
  const counted: Checked = { runs: 0, steps: 0 }
  let failed = false
  const property = fc.asyncProperty(setups, commands(replayPath), async (setup, story) => {
    const world = new World(setup)
    counted.runs += 1
    try {
      await real.begin(world.books.state)
      await fc.asyncModelRun(() => ({ model: world, real }), story)
      await end(world, real, failed || counted.runs % RUNS_PER_AUDIT === 0)
    } catch (error) {
      failed = true
      await real.forget()
      throw error instanceof pg.DatabaseError ? new Error(tell(world, `the database answers ${error.message}`)) : error
    }
    counted.steps += world.story.length
    if (counted.runs % RUNS_REMEMBERED === 0) await real.forget()
  })
  const result = await fc.check(property, {
    seed,
    numRuns: runs,
    ...(shrinkPath === undefined ? {} : { path: shrinkPath }),
  })
  if (!result.failed) return counted
  const [setup, story] = result.counterexample ?? []
  const replayed = /replayPath="([^"]*)"/.exec(String(story))?.[1] ?? ''
  const cause = result.errorInstance
  throw new Error(
    `after ${result.numRuns} runs, shortened ${result.numShrinks} times, starting with ${show(setup)}\n` +
      `${cause instanceof Error ? cause.message : String(cause)}\n` +
      `  again: ${replay(`${result.counterexamplePath}|${replayed}`)}`,
  )
}

/** Whatever still runs is released; then nothing is held, and the product's own audit agrees (about all runs it finds). */
async function end(world: World, real: RealLedger, audited: boolean): Promise<void> {
  const open = world.books
    .openHolds()
    .map(({ call, org, user }) => ({ call, org, user, charge: null, disputed: false }))
  if (open.length > 0) {
    const last = closing(open)
    world.tells(last.text)
    await expectOneOf(world, real, [wayOf(world.books, last)], await last.real(real, 'sql'))
  }
  if (!audited) return
  const findings = await real.audit()
  if (findings.length > 0) throw new Error(tell(world, `the audit finds ${JSON.stringify(findings)}`))
}

// --- what a run may start with and what may happen in it ----------------------------------------------------------------------

const setups: fc.Arbitrary<Setup> = fc.record({
  overages: fc.tuple(
    fc.constantFrom<Setup['overages'][number]>('not allowed', 25),
    fc.constantFrom<Setup['overages'][number]>('not allowed', 25, 'unlimited'),
  ),
  spare: fc.constantFrom(0, 30, 200),
  refresh: fc.constantFrom(0, 50),
  subscribed: fc.boolean().map((isFalse) => !isFalse),
  budget: fc.constantFrom(null, 60),
})

const amount = fc
  .tuple(fc.integer({ min: 0, max: 70 }), fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.constant(1)))
  .map(([credits, micro]) => BigInt(credits) * 1_000_000n + BigInt(micro))
const org = fc.integer({ min: 0, max: 1 })
const user = fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 0, max: 1 }) }, fc.constant(2))
const index = fc.nat({ max: 7 })
const seat = fc.constantFrom('a' as const, 'b' as const)
const batch = <T>(arbitrary: fc.Arbitrary<T>) => fc.array(arbitrary, { minLength: 1, maxLength: 6, size: 'small' })

const anyCalls = batch(
  fc.record({
    org,
    user,
    input: fc.oneof(
      { weight: 3, arbitrary: fc.integer({ min: 0, max: 12 }).map((n) => BigInt(n) * 1_000_000n) },
      amount,
    ),
    bytes: fc.oneof(fc.constant(0n), amount),
    output: amount,
    spare: fc.oneof(fc.constant(0n), amount),
    step: fc.oneof(fc.constant(0n), amount),
    uncertain: fc.oneof(fc.constant(0n), amount),
    // One call with a limit, and its organization's part of the batch is served call by call.
    limits: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.integer({ min: 0, max: 3 })),
    key: fc.boolean(),
    slice: fc.constantFrom('none' as const, 'none' as const, 'none' as const, 'to fill' as const, 'filled' as const),
    waitMs: fc.constantFrom(0, 0, 0, 30_000, 100_000),
    again: fc.oneof({ weight: 7, arbitrary: fc.constant(null) }, index),
    waiter: fc.oneof(
      { weight: 2, arbitrary: fc.constant(null) },
      fc.record({ nth: index, says: fc.boolean().map((isFalse) => !isFalse) }),
    ),
  }),
)
/** Small calls that may wait for the limits they share: one that needs less comes after one that needs more. */
const crowd = batch(
  fc.record({
    ...{ org, user: fc.integer({ min: 0, max: 1 }), input: fc.constant(0n), bytes: fc.constant(0n) },
    output: fc.constantFrom(1_000_000n, 10_000_000n, 20_000_000n, 30_000_000n),
    ...{ spare: fc.constant(0n), step: fc.constant(0n), uncertain: fc.constant(0n) },
    limits: fc.constantFrom(2, 2, 2, 3),
    key: fc.constant(false),
    slice: fc.constant('none' as const),
    waitMs: fc.constantFrom(0, 30_000, 30_000, 30_000, 100_000),
    ...{ again: fc.constant(null), waiter: fc.constant(null) },
  }),
)
const hold: fc.Arbitrary<Plan> = fc
  .oneof({ weight: 6, arbitrary: anyCalls }, { weight: 1, arbitrary: crowd })
  .map((calls) => ({ kind: 'hold', calls }))
const leave: fc.Arbitrary<Plan> = index.map((nth) => ({ kind: 'leave', nth }))
const fill: fc.Arbitrary<Plan> = fc
  .tuple(org, amount, amount, fc.constantFrom(1n, 2n, 3n))
  .map(([of, least, more, times]) => ({ kind: 'fill', org: of, least, wanted: (least + more) * times }))

const pick = fc.record({
  nth: index,
  of: fc.oneof(
    { weight: 6, arbitrary: fc.constant('open' as const) },
    fc.constantFrom('closed' as const, 'unseen' as const),
  ),
})
const progress: fc.Arbitrary<Plan> = batch(
  fc.record({
    pick,
    checkpoint: fc.option(amount, { freq: 3 }),
    total: fc.option(amount, { freq: 3 }),
    spare: fc.oneof(fc.constant(0n), amount),
    ask: fc.boolean(),
    shrink: fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, fc.constant(true)),
  }),
).map((calls) => ({ kind: 'progress', calls }))
const disputed = fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, fc.constant(true))
const close: fc.Arbitrary<Plan> = batch(fc.record({ pick, charge: fc.option(amount, { freq: 4 }), disputed })).map(
  (calls) => ({ kind: 'close', calls }),
)
/** Settlements of calls that are closed already. */
const closeAgain: fc.Arbitrary<Plan> = batch(
  fc.record({
    pick: fc.record({ nth: index, of: fc.constant('closed' as const) }),
    charge: fc.option(amount, { freq: 4 }),
    disputed,
  }),
).map((calls) => ({ kind: 'close', calls }))
const dispute: fc.Arbitrary<Plan> = fc.record({
  kind: fc.constant('dispute' as const),
  pick: fc.record({ nth: index, of: fc.constant('closed' as const) }),
  charge: amount,
})
const publicFunction: fc.Arbitrary<Plan> = fc.oneof(
  fc.record({
    kind: fc.constantFrom('deduct' as const, 'purchase' as const, 'allocate' as const),
    org,
    user,
    amount,
    requestId: fc.constant(null),
  }),
  // Few enough of them that some are repeats, and some nearly.
  fc.record({
    kind: fc.constant('deduct' as const),
    org: fc.constant(0),
    user: fc.integer({ min: 0, max: 1 }),
    amount: fc.constantFrom(3_000_000n, 4_000_000n),
    requestId: fc.constantFrom('r1', 'r2'),
  }),
)
const plan = fc.oneof(
  { weight: 4, arbitrary: hold },
  { weight: 1, arbitrary: fc.oneof(leave, fill, fill) },
  { weight: 3, arbitrary: close },
  { weight: 2, arbitrary: progress },
  { weight: 1, arbitrary: dispute },
  { weight: 1, arbitrary: publicFunction },
)

function commands(replayPath: string | undefined): fc.Arbitrary<Iterable<Command>> {
  const command: fc.Arbitrary<Command> = fc.oneof(
    { weight: 60, arbitrary: fc.tuple(hold, seat).map(([what, at]) => new Do(what, at)) },
    { weight: 16, arbitrary: fc.tuple(fill, seat).map(([what, at]) => new Do(what, at)) },
    { weight: 8, arbitrary: fc.tuple(leave, seat).map(([what, at]) => new Do(what, at)) },
    { weight: 8, arbitrary: seat.map((at) => new Look(at)) },
    { weight: 36, arbitrary: fc.tuple(close, seat).map(([what, at]) => new Do(what, at)) },
    { weight: 36, arbitrary: fc.tuple(progress, seat).map(([what, at]) => new Do(what, at)) },
    { weight: 30, arbitrary: fc.tuple(publicFunction, seat).map(([what, at]) => new Do(what, at)) },
    { weight: 20, arbitrary: fc.tuple(dispute, seat).map(([what, at]) => new Do(what, at)) },
    { weight: 16, arbitrary: seat.map((at) => new Lose(at)) },
    { weight: 28, arbitrary: fc.tuple(closeAgain, seat).map(([what, at]) => new Do(what, at)) },
    { weight: 40, arbitrary: fc.tuple(plan, plan).map(([one, other]) => new AtOnce(one, other)) },
    { weight: 10, arbitrary: fc.oneof(hold, close, progress).map((what) => new AtOnce(what, 'the same')) },
    { weight: 2, arbitrary: plan.map((what) => new Kill(what)) },
    { weight: 30, arbitrary: fc.tuple(waits, sleepers).map(([seconds, asleep]) => new Wait(seconds, asleep)) },
    { weight: 14, arbitrary: fc.tuple(seat, fc.boolean()).map(([at, isCrash]) => new Restart(at, isCrash)) },
    {
      weight: 30,
      arbitrary: fc
        .tuple(fc.constantFrom(100, 1), fc.option(close, { freq: 1 }))
        .map(([most, late]) => new Recover(most, late)),
    },
    { weight: 4, arbitrary: fc.constantFrom(...ORGANIZATIONS).map((name) => new Suspend(name)) },
  )
  return fc.commands([command], {
    maxCommands: MAX_COMMANDS,
    size: 'max',
    ...(replayPath === undefined ? {} : { replayPath }),
  })
}

/** Within a lease; beyond it; long enough to be dead; beyond the ten minutes of a request id; a day, a month, more than two. */
const waits = fc.constantFrom(1, 20, 50, 660, 86_400, 33 * 86_400, 70 * 86_400)
const sleepers = fc.constantFrom('nobody' as const, 'a' as const, 'b' as const)
