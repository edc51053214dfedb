/**
 * An honest caller who stops a recorded stream never pays more than the stream read to its end would have cost, wherever it is stopped.
 * Where a stream that is left is read on, its usage comes, and it is charged like the whole.
 */
import { createSettler } from '../support/settle-frames.ts'
import { harnessConfig } from './harness-config.ts'
import type { Recording } from './recording.ts'
import { sentRequest } from './request.ts'

/** Of a longer stream the first ones and some of the others. */
const FIRST = 64
const OTHERS = 32

export interface StoppedRecording {
  name: string
  stops: number
  /** Of them, where the stream is read on. */
  readOn: number
  /** Where a stop costs more, and by what share: `after 3 of 20 events: 0.001200 instead of 0.001000`. */
  failure: string | null
}

export async function checkStops(recordings: readonly Recording[]): Promise<StoppedRecording[]> {
  const streams = recordings.filter(({ stream, status, oracle }) => stream && status === 200 && oracle?.usage != null)
  const settler = createSettler(harnessConfig(recordings, 'http://127.0.0.1:9'))
  try {
    const checked: StoppedRecording[] = []
    for (const recording of streams) checked.push(await check(settler, recording))
    return checked
  } finally {
    await settler.close()
  }
}

async function check(settler: ReturnType<typeof createSettler>, recording: Recording): Promise<StoppedRecording> {
  const events = recording.body.toString().split(/(?<=\r?\n\r?\n)/)
  const stream = settler.stream(sentRequest(recording, true) as Record<string, unknown> & { model: string })
  const whole = await stream.readToItsEnd(events)
  const result: StoppedRecording = { name: recording.name, stops: 0, readOn: 0, failure: null }
  for (const stop of stopsOf(events.length)) {
    const passed = events.slice(0, stop)
    result.stops += 1
    if (stream.isReadOn(passed)) {
      result.readOn += 1
      continue
    }
    const charged = await stream.stoppedAfter(passed)
    if (charged > whole)
      result.failure ??= `stopped after ${stop} of ${events.length} events: ${charged} instead of ${whole} microcredits`
  }
  return result
}

function stopsOf(events: number): number[] {
  const all = Array.from({ length: events }, (_, i) => i)
  const step = Math.max(1, Math.floor((events - FIRST) / OTHERS))
  return all.filter((stop) => stop < FIRST || (stop - FIRST) % step === 0)
}
