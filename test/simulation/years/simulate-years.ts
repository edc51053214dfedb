/**
 * Two years in minutes: organizations with every kind of period and quota, on two processes and one database whose clock is moved by
 * hours, days and weeks. After each jump calls, purchases, allocations and plans happen at once, beside two sweeps; then everything
 * that must be true is compared, row by row.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { endTrials } from '../../../src/billing/end-trials.ts'
import { renewSubscriptions, sweepPeriods } from '../../../src/billing/sweep-periods.ts'
import type { Database } from '../../../src/db/connect.ts'
import { audit } from '../../../src/ledger/audit.ts'
import { seeded } from '../../support/random.ts'
import { configFor, startTollgate } from '../../support/tollgate.ts'
import { startUpstream } from '../../support/upstream.ts'
import { errorAnswer } from '../../support/upstream-answers.ts'
import { answerOfProvider } from '../world.ts'
import { act, REFUSED, type Stage } from './actions.ts'
import { checkMoment, checkStatements, readBeginnings } from './check-years.ts'
import { startClock, type YearsClock } from './clock.ts'
import { createYearsCompanies, TIERS, type YearsCompany } from './people.ts'

/** A day that a short month does not have, in the middle of the afternoon. */
const BEGINNING = '2026-01-31T15:30:00Z'
const HOUR_MS = 3_600_000
const MOST_WRONG = 20

export interface YearsOptions {
  database: Database
  databaseUrl: string
  seed: number
  days: number
  /** Of each organization, after each jump. */
  actions: number
  organizations: number
  onJump?: (now: Date, wrong: number) => void
}

export interface YearsResult {
  jumps: number
  /** By name, how many were made. */
  made: Map<string, number>
  /** Empty where all is right. */
  differences: string[]
}

export async function simulateYears(options: YearsOptions): Promise<YearsResult> {
  const { database, databaseUrl } = options
  const clock = await startClock(database, BEGINNING)
  const upstream = await startUpstream((request) =>
    request.body.includes(REFUSED) ? errorAnswer(400, { message: 'It is refused.' }) : answerOfProvider(request),
  )
  const config = configFor(upstream.url, { tollgate: { tiers: TIERS } })
  const start = () => startTollgate({ databaseUrl, config, flags: ['--log-level', 'error'] })
  const processes = await Promise.all([start(), start()])
  try {
    return await live(options, { clock, urls: processes.map(({ url }) => url) })
  } finally {
    await Promise.all(processes.map((one) => one.stop()))
    await upstream.close()
  }
}

async function live(
  options: YearsOptions,
  { clock, urls }: { clock: YearsClock; urls: string[] },
): Promise<YearsResult> {
  const { database, seed, days, organizations } = options
  const chance = seeded(seed)
  const upTo = (most: number) => 1 + Math.floor(chance() * most)
  const companies = await createYearsCompanies(database, organizations)
  const beginnings = await readBeginnings(database)
  let putBackAt = new Date(0)
  const result: YearsResult = { jumps: 0, made: new Map(), differences: [] }
  const end = (await clock.now()).getTime() + days * 24 * HOUR_MS
  while ((await clock.now()).getTime() < end && result.differences.length < MOST_WRONG) {
    const before = await clock.now()
    await jump(clock, upTo, chance)
    if ((await clock.now()) < before) putBackAt = before
    const stage: Stage = { urls, chance, upTo, refusedByQuota: new Set(), made: result.made }
    const acts = companies.map((company) => () => actions(stage, company, options.actions, result))
    await inSomeOrder([...sweeps(database), ...acts], chance)
    await untilNothingIsHeld(database)
    await Promise.all(sweeps(database).map((one) => one()))
    // What was due before the clock was put back is done.
    const now = new Date(Math.max((await clock.now()).getTime(), putBackAt.getTime()))
    const moment = { beginnings, now, putBackAt, refusedByQuota: stage.refusedByQuota }
    result.differences.push(...(await checkMoment(database, companies, moment)))
    result.jumps += 1
    options.onJump?.(now, result.differences.length)
  }
  const months = monthsUntil(await clock.now())
  for (const company of companies) result.differences.push(...(await checkStatements(database, company, months)))
  return result
}

/** Hours, days or weeks that go by; seldom the clock is put forward, or back by a little. */
async function jump(clock: YearsClock, upTo: (most: number) => number, chance: () => number): Promise<void> {
  const point = chance()
  if (point < 0.45) await clock.pass(upTo(30) * HOUR_MS)
  else if (point < 0.8) await clock.pass(upTo(8 * 24) * HOUR_MS)
  else if (point < 0.93) await clock.pass(upTo(40 * 24) * HOUR_MS)
  else if (point < 0.97) await clock.leap(upTo(48) * HOUR_MS)
  else await clock.pass(-upTo(90) * 1_000)
}

async function actions(stage: Stage, company: YearsCompany, count: number, result: YearsResult): Promise<void> {
  for (let index = 0; index < count; index += 1)
    await act(stage, company).catch((error: Error) => result.differences.push(`${company.name}: ${error.message}`))
}

/** Whatever touches a pool first finds what is due: at times a sweep, at times a call. */
async function inSomeOrder(work: (() => Promise<unknown>)[], chance: () => number): Promise<void> {
  if (chance() < 0.5) await Promise.all(work.map((one) => one()))
  else for (const one of work.reverse()) await one()
}

/** As each of two processes does once a minute. */
function sweeps(database: Database): (() => Promise<unknown>)[] {
  return [sweepPeriods, sweepPeriods, endTrials, endTrials, renewSubscriptions, renewSubscriptions].map(
    (sweep) => () => sweep(database),
  )
}

async function untilNothingIsHeld(database: Database): Promise<void> {
  for (let tries = 0; tries < 600 && (await audit(database)).openHolds > 0; tries += 1) await sleep(50)
}

function monthsUntil(now: Date): string[] {
  const months: string[] = []
  for (
    let at = new Date(BEGINNING.slice(0, 7));
    at <= now;
    at = new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + 1))
  )
    months.push(at.toISOString().slice(0, 10))
  return months
}
