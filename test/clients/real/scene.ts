/** What a scene is, and the laws that the books of every scene must keep. */
import { deepEqual, ok } from 'node:assert/strict'
import type { CallRow } from '../../support/call-books.ts'
import { CHARGE, isMetered, type Stand } from './lane.ts'
import { type Outcome, type RunOptions, runClient } from './run-client.ts'

/** Where installed clients are. */
export interface Installed {
  /** The folder that has node_modules with the clients of npm. */
  npm: string
  /** The interpreter of a virtual environment by its name; null where it can't be installed. */
  python(name: string): string
}

export interface Scene {
  /** Its client, as `install.ts` names it. */
  client: string
  title: string
  /** Plays in CI: it takes seconds. */
  quick?: boolean
  play(stand: Stand, installed: Installed): Promise<void>
}

/** A scene failed: what its client showed goes along. */
export async function showing(outcome: Outcome, check: () => unknown): Promise<void> {
  try {
    await check()
  } catch (error) {
    const shown = outcome.output.slice(-3_000)
    throw new Error(
      `${(error as Error).message}\nafter ${outcome.seconds} s, exit status ${outcome.code}, it showed:\n${shown}`,
    )
  }
}

export interface Expected {
  answered: number
  /** Calls that the provider refused or that never reached it. @default 0 */
  failed?: number
  /** What each answered call costs. @default CHARGE */
  charge?: string
}

/** The scene's books hold these calls and nothing else, and each reached the provider once. */
export async function expectBooked(stand: Stand, { answered, failed = 0, charge = CHARGE }: Expected): Promise<void> {
  const rows = await stand.books()
  const asBooked = rows.map(({ outcome, credits_used }) => `${outcome} ${credits_used}`).sort()
  const expected = [
    ...Array<string>(answered).fill(`answered ${charge}`),
    ...Array<string>(failed).fill('failed 0.000000'),
  ]
  deepEqual(asBooked, expected, 'the books')
  deepEqual(stand.upstreamCalls(), answered + failed, 'calls that reached the provider')
}

/**
 * A failure that a repeat can't mend: shown within ten seconds of the first try, nothing charged, and the provider heard of it at most
 * once a try.
 */
export async function expectFinal(stand: Stand, outcome: Outcome, shows: RegExp): Promise<void> {
  await showing(outcome, async () => {
    const shownAt = outcome.shownAt(shows)
    ok(shownAt !== null, `its user reads ${shows}`)
    const seconds = (shownAt - (stand.exchanges[0]?.at ?? 0)) / 1000
    ok(seconds <= 10, `it shows that within ten seconds, not ${seconds}`)
    await expectNothingCharged(stand)
  })
}

export async function expectNothingCharged(stand: Stand): Promise<void> {
  const rows = await stand.books()
  deepEqual(
    rows.filter(({ credits_used }: CallRow) => credits_used !== '0.000000'),
    [],
    'nothing is charged',
  )
  expectOnceEach(stand)
}

/** No try of the client reached the provider twice. */
export function expectOnceEach(stand: Stand): void {
  const tries = stand.exchanges.filter(({ method, path }) => method === 'POST' && isMetered(path)).length
  ok(stand.upstreamCalls() <= tries, `${stand.upstreamCalls()} calls reached the provider in ${tries} tries`)
}

/** Runs a client of npm by the name of its command. */
export function runNpm(installed: Installed, stand: Stand, command: string, args: string[], options: RunOptions = {}) {
  return runClient(`${installed.npm}/node_modules/.bin/${command}`, args, { ...options, home: `${stand.folder}/home` })
}
