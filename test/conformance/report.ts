/** The outcome of a run, for people: a table by provider, every exception by name with its reason, every difference. */
import type { StoppedRecording } from './check-stops.ts'
import { type Estimated, isTrusted, summarize } from './estimates.ts'
import { EXCEPTIONS, type Exception } from './exceptions.ts'
import { expectedStatus } from './expected.ts'
import type { CheckedCase } from './price-cases.ts'
import type { Recording } from './recording.ts'

export interface PlayedRecording {
  recording: Recording
  replays: number
  /** Each difference, with the variants that have it. */
  failures: Map<string, string[]>
  excepted: Set<Exception>
}

export interface Outcome {
  recordings: readonly PlayedRecording[]
  /** Of providers this version can't call. */
  skipped: readonly Recording[]
  priceCases: readonly CheckedCase[]
  estimates: readonly Estimated[]
  stopped: readonly StoppedRecording[]
  /** What the audit found afterwards. */
  findings: number
}

/** Prints it. True: everything is as it should be. */
export function report(outcome: Outcome): boolean {
  table(outcome)
  listStops(outcome.stopped)
  const idle = listExceptions(outcome)
  const failures = [
    ...outcome.recordings.flatMap(differencesOf),
    ...outcome.priceCases.flatMap(({ id, failure }) => (failure === null ? [] : `price case ${id}: ${failure}`)),
    ...outcome.stopped.flatMap(({ name, failure }) => (failure === null ? [] : [`${name}, ${failure}`])),
    ...idle.map((name) => `${name}: its exception is not needed`),
    ...(outcome.findings > 0 ? [`the audit found ${outcome.findings} differences in the books`] : []),
    ...(isTrusted(summarize(outcome.estimates)) ? [] : ['estimates are too low or too high']),
  ]
  for (const failure of failures) print(`FAILED ${failure}`)
  return failures.length === 0
}

function differencesOf({ recording, replays, failures }: PlayedRecording): string[] {
  return [...failures].map(([difference, variants]) => {
    const where = variants.length === replays ? `all ${replays} replays` : variants.join('; ')
    return `${recording.name}, ${difference} [${where}]`
  })
}

function table({ recordings, skipped, priceCases, estimates }: Outcome): void {
  row(
    'provider',
    'recordings',
    'replays',
    'failed',
    'exceptions',
    'price cases',
    'failed',
    'estimates >= bill',
    'median',
  )
  const providers = new Set([
    ...recordings.map(({ recording }) => recording.provider),
    ...priceCases.map((c) => c.provider),
  ])
  for (const provider of providers) {
    line(
      provider,
      recordings.filter(({ recording }) => recording.provider === provider),
      priceCases.filter((one) => one.provider === provider),
      estimates.filter((one) => one.provider === provider),
    )
  }
  line('all', recordings, priceCases, estimates)
  for (const [provider, of] of Map.groupBy(skipped, (recording) => recording.provider))
    row(provider, of.length, 'not supported by this version')
}

function line(
  name: string,
  recordings: readonly PlayedRecording[],
  cases: readonly CheckedCase[],
  estimates: readonly Estimated[],
): void {
  const { count, covered, median } = summarize(estimates)
  const excepted = recordings.filter((one) => one.excepted.size > 0).length + cases.filter((one) => one.excepted).length
  row(
    name,
    recordings.length,
    recordings.reduce((sum, { replays }) => sum + replays, 0),
    recordings.filter((one) => one.failures.size > 0).length,
    excepted,
    cases.length,
    cases.filter(({ failure }) => failure !== null).length,
    `${covered} of ${count}`,
    count === 0 ? '' : median.toFixed(2),
  )
}

function listStops(stopped: readonly StoppedRecording[]): void {
  const sum = (of: (one: StoppedRecording) => number) => stopped.reduce((all, one) => all + of(one), 0)
  const dearer = stopped.filter(({ failure }) => failure !== null).length
  print(
    `\nstreams stopped anywhere: ${stopped.length}, at ${sum(({ stops }) => stops)} places, read on at ${sum(({ readOn }) => readOn)}; dearer than whole: ${dearer}`,
  )
}

/** Returns the names of exceptions that never applied. */
function listExceptions({ recordings, priceCases, estimates }: Outcome): string[] {
  const purposes = recordings.flatMap(({ recording }) => {
    const { onPurpose } = expectedStatus(recording)
    return onPurpose === null ? [] : [`  ${recording.name}: ${onPurpose}`]
  })
  if (purposes.length > 0) print(`\nstatus differs from the recording on purpose:\n${purposes.join('\n')}`)
  const low = estimates.filter(({ estimated, billed }) => estimated < billed)
  if (low.length > 0) {
    const lines = low.map(({ name, estimated, billed }) => `  ${name}: ${estimated} estimated, ${billed} billed`)
    print(`\nestimates below the bill:\n${lines.join('\n')}`)
  }
  const used = new Map<string, readonly Exception[]>([
    ...recordings.map(({ recording, excepted }) => [recording.name, [...excepted]] as const),
    ...priceCases.map(({ id, excepted }) => [id, excepted === null ? [] : [excepted]] as const),
  ])
  const lines = [...used].flatMap(([name, all]) => all.map(({ about, reason }) => `  ${name}, ${about}: ${reason}`))
  if (lines.length > 0) print(`\nexceptions:\n${lines.join('\n')}`)
  print('')
  return [...used.keys()].filter((name) => (EXCEPTIONS[name] ?? []).some((one) => !used.get(name)?.includes(one)))
}

const WIDTHS = [22, 12, 10, 8, 12, 13, 8, 19, 8]

function row(...cells: (string | number)[]): void {
  print(
    cells
      .map((cell, index) => String(cell).padEnd(WIDTHS[index] ?? 0))
      .join('')
      .trimEnd(),
  )
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}
