/** What a run tells: a line of progress, and at the end calls, faults and money. */
import type { Call, Calls } from './calls.ts'
import { credits, type Verdict } from './check.ts'
import type { FaultKind } from './schedule.ts'

const SHOWN_DIFFERENCES = 20

export interface Progress {
  note(what: string): void
  stop(): void
}

/** One line, rewritten, on a terminal; elsewhere a line every ten seconds. */
export function startProgress(
  calls: Calls,
  faults: ReadonlyMap<FaultKind, number>,
  say: (line: string) => void,
): Progress {
  const terminal = process.stdout.isTTY === true
  const startedAt = performance.now()
  let note = ''
  const line = () => {
    const seconds = Math.round((performance.now() - startedAt) / 1_000)
    const happened = [...faults.values()].reduce((sum, one) => sum + one, 0)
    return `${seconds} s  ${calls.all.size} calls, ${calls.running.size} running, ${happened} faults ${note}`
  }
  const timer = setInterval(
    () => (terminal ? process.stdout.write(`\r\x1b[K${line()}`) : say(line())),
    terminal ? 500 : 10_000,
  )
  return {
    note(what) {
      note = what
    },
    stop() {
      clearInterval(timer)
      if (terminal) process.stdout.write('\r\x1b[K')
    },
  }
}

export interface ReportOptions {
  calls: Iterable<Call>
  faults: ReadonlyMap<FaultKind, number>
  verdict: Verdict
  differences: readonly string[]
  say: (line: string) => void
}

export function printReport({ calls, faults, verdict, differences, say }: ReportOptions): void {
  const answers = countAnswers(calls)
  table(
    say,
    'answers',
    [...answers].sort(([one], [other]) => one.localeCompare(other)).map(([name, count]) => [name, `${count}`]),
  )
  table(
    say,
    'faults',
    [...faults].sort(([one], [other]) => one.localeCompare(other)).map(([kind, count]) => [kind, `${count}`]),
  )
  const money = [...verdict.endings].sort(([one], [other]) => one.localeCompare(other))
  table(
    say,
    'money, in credits',
    money.map(([ending, { calls: count, low, high, booked }]) => [
      ending,
      `${count}`,
      `booked ${credits(booked)}`,
      low === high ? `due ${credits(low)}` : `due ${credits(low)} to ${credits(high)}`,
    ]),
  )
  say(`${verdict.corrections} calls were corrected after a recovery.`)
  if (differences.length === 0) {
    say('The money is right.')
    return
  }
  say(`\n${differences.length} differences:`)
  for (const one of differences.slice(0, SHOWN_DIFFERENCES)) say(`  ${one}`)
  if (differences.length > SHOWN_DIFFERENCES) say(`  ... and ${differences.length - SHOWN_DIFFERENCES} more`)
}

/** By what the caller got. */
function countAnswers(calls: Iterable<Call>): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { seen, left } of calls) {
    const whole = seen?.whole === true
    const status = whole ? `${seen.status}${seen.code === null ? '' : ` ${seen.code}`}` : null
    const name = status ?? (left ? 'the caller left' : 'the connection broke')
    counts.set(name, (counts.get(name) ?? 0) + 1)
    if (seen?.pending === true) counts.set('marked pending', (counts.get('marked pending') ?? 0) + 1)
  }
  return counts
}

function table(say: (line: string) => void, title: string, rows: readonly (readonly string[])[]): void {
  say(`\n${title}`)
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  for (const row of rows) {
    const cells = row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
    )
    say(`  ${cells.join('  ')}`)
  }
}
