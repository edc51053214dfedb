/** What a response says that a recording took: its seconds, or tokens. */
import { asObject } from '../json.ts'
import { count } from '../openai-usage.ts'
import { emptyReading, type Reading } from '../reading.ts'
import type { TranscriptionContext } from '../transcriptions.ts'
import { NO_USAGE, type Usage } from '../usage.ts'

type Json = Readonly<Record<string, unknown>>

/** The usage is null where nothing usable is stated, and where what is stated is not what the recording is billed by. */
export function readingOf(json: Json, { isByTime, shortest }: TranscriptionContext): Reading {
  const stated = asObject(json.usage)
  const seconds = secondsOf(stated?.seconds) ?? secondsOf(json.duration)
  const milliseconds = seconds === null ? null : Math.ceil(Math.max(seconds, shortest) * 1_000)
  if (isByTime) return { ...emptyReading(), usage: milliseconds === null ? null : { ...NO_USAGE, milliseconds } }
  const usage = tokensOf(stated)
  const total = count(stated?.total_tokens)
  const sum = usage === null ? null : usage.input + usage.audioInput + usage.output
  return { ...emptyReading(), usage, consistent: sum === null || total === null || total === sum }
}

/** Some servers write numbers as texts. No recording lasts no time. */
function secondsOf(value: unknown): number | null {
  const seconds = typeof value === 'string' && /^\d{1,9}(?:\.\d{1,9})?$/.test(value) ? Number(value) : value
  return typeof seconds === 'number' && Number.isFinite(seconds) && seconds > 0 && seconds < 1e9 ? seconds : null
}

/** What is not said to be text was heard. */
function tokensOf(stated: Json | null): Usage | null {
  const input = count(stated?.input_tokens)
  const output = count(stated?.output_tokens)
  if (input === null || output === null) return null
  const text = Math.min(input, count(asObject(stated?.input_token_details)?.text_tokens) ?? 0)
  return { ...NO_USAGE, input: text, audioInput: input - text, output }
}
