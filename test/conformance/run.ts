/**
 * npm run conformance -- <folder of recordings, or one of them> [...]: replays recorded provider exchanges through the running
 * product, cut in several ways, and compares what callers and books see with what each recording is known to mean; prices recorded
 * usage at recorded rates (`price_cases.json` of the folder); compares estimates of input with what was billed; and stops each stream
 * anywhere. Exit code 1 on a difference, and when a folder is named of a provider that can't be called; in a folder of folders such
 * providers are only listed.
 */
import { basename, resolve } from 'node:path'
import { awkward, every, everyByte, seeded, whole } from '../support/splits.ts'
import { differences } from './check.ts'
import { checkStops } from './check-stops.ts'
import { isPlayable } from './dialects.ts'
import { estimateInputs } from './estimates.ts'
import { exceptionFor } from './exceptions.ts'
import { withProduct } from './harness.ts'
import { harnessConfig } from './harness-config.ts'
import { checkPriceCases, readPriceCases } from './price-cases.ts'
import { type Recording, readRecordings } from './recording.ts'
import { type Replayer, replay, type Variant } from './replay.ts'
import { type PlayedRecording, report } from './report.ts'

const SPLITS = {
  whole,
  'every byte': everyByte,
  'every 7 bytes': every(7),
  awkward,
  'random 1': seeded(1),
  'random 2': seeded(2, 100),
}

async function main(paths: readonly string[]): Promise<number> {
  if (paths.length === 0) throw new Error('usage: npm run conformance -- <folder of recordings, or one of them> [...]')
  const recordings = (await Promise.all(paths.map(readRecordings))).flat()
  const played = recordings.filter(({ provider }) => isPlayable(provider))
  if (played.length === 0) throw new Error(`no recordings of a provider this version can call in ${paths.join(', ')}`)
  const { result, findings } = await withProduct(
    (origin) => harnessConfig(played, origin),
    (replayer) => replayAll(replayer, played),
  )
  const cases = (await Promise.all(paths.map(readPriceCases))).flat()
  const skipped = recordings.filter(({ provider }) => !isPlayable(provider))
  const named = new Set(paths.map((path) => basename(resolve(path))))
  const passed = report({
    recordings: result,
    skipped,
    priceCases: checkPriceCases(cases),
    estimates: estimateInputs(played),
    stopped: await checkStops(played),
    findings,
  })
  return passed && !skipped.some(({ provider }) => named.has(provider)) ? 0 : 1
}

async function replayAll(replayer: Replayer, recordings: readonly Recording[]): Promise<PlayedRecording[]> {
  const results: PlayedRecording[] = []
  for (const recording of recordings) {
    progress(`${results.length + 1}/${recordings.length} ${recording.name}`)
    results.push(await play(replayer, recording))
  }
  progress('')
  return results
}

async function play(replayer: Replayer, recording: Recording): Promise<PlayedRecording> {
  const played: PlayedRecording = { recording, replays: 0, failures: new Map(), excepted: new Set() }
  for (const variant of variantsOf(recording)) {
    played.replays += 1
    for (const difference of differences(recording, variant, await replay(replayer, recording, variant))) {
      const exception = exceptionFor(recording.name, difference)
      if (exception !== null) played.excepted.add(exception)
      else played.failures.set(difference, [...(played.failures.get(difference) ?? []), variant.name])
    }
  }
  return played
}

function variantsOf({ stream, oracle }: Recording): Variant[] {
  const usage = stream && oracle !== null ? [false, true] : [false]
  return Object.entries(SPLITS).flatMap(([name, split]) =>
    usage.map((includeUsage) => ({ name: includeUsage ? `${name}, with usage` : name, split, includeUsage })),
  )
}

/** A line that is written over, for people who wait. */
function progress(text: string): void {
  if (process.stdout.isTTY) process.stdout.write(`\r\u001b[K${text}`)
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  process.stderr.write(`conformance: ${(error as Error).message}\n`)
  process.exitCode = 2
}
