/**
 * A stream in Gemini's own dialect: what each chunk becomes, and what is known so far. Gemini says neither when it is over nor, for
 * sure, only once that it finished: text may follow a finish reason, so each choice is finished when the connection ends, with the last
 * reason it gave. A stream that ends without any broke off, and is an error.
 */
import { asObject } from '../json.ts'
import type { ProviderError, ResponseContext, StreamPart, StreamReader } from '../provider.ts'
import { emptyReading } from '../reading.ts'
import { noteImages } from '../seen-images.ts'
import { createShown, type Shown } from '../shown.ts'
import { usageRecord } from '../usage.ts'
import { NO_CANDIDATES } from './candidate.ts'
import { readGoogleErrorFrame } from './errors.ts'
import { toolUses } from './grounding.ts'
import { imageTokens } from './images/shape.ts'
import type { PlainFrame } from './plain-frame.ts'
import type { GoogleChunk } from './read-frame.ts'
import { createStreamChoices, type StreamChoices } from './stream-choices.ts'
import { createGoogleChunks, type GoogleChunks } from './stream-chunks.ts'
import { createStreamUsage, type StreamUsage } from './stream-usage.ts'
import { coversResponse, isGoogleUsage } from './usage.ts'

type Json = Record<string, unknown>

export interface NativeStream {
  /** The server's error, after which nothing is taken. */
  readonly error: ProviderError | null
  take(chunk: GoogleChunk): Buffer | null
  takePlain(frame: PlainFrame): Buffer | null
  /** The connection ended. */
  finish(): StreamPart
  readonly facts: StreamFacts
}

type StreamFacts = Omit<StreamReader, 'push' | 'end'>

/** What is known of a stream, by what it is about. */
interface State {
  readonly context: ResponseContext
  readonly shown: Shown<string>
  readonly chunks: GoogleChunks
  readonly choices: StreamChoices
  readonly usage: StreamUsage
  frames: number
  isFinal: boolean
}

export function createNativeStream(context: ResponseContext): NativeStream {
  const reading = emptyReading()
  const shown = createShown<string>((pieces) => pieces.join(''))
  const chunks = createGoogleChunks(context, reading)
  const choices = createStreamChoices(context, chunks, shown, (images) =>
    noteImages(reading, images, imageTokens(context.model)),
  )
  const usage = createStreamUsage(reading)
  const state: State = { context, shown, chunks, choices, usage, frames: 0, isFinal: false }
  let error: ProviderError | null = null

  /** `takeUsage` is called when the text is taken that the usage covers. */
  function takeText(chunk: Json, exact: Json | null, takeUsage: () => void): Buffer | null {
    chunks.learn(chunk)
    const out = choices.take(chunk, exact)
    if (out !== '') state.frames += 1
    takeUsage()
    return out === '' ? null : Buffer.from(out)
  }

  function takeUsage({ usageMetadata: raw }: Json): void {
    if (isGoogleUsage(raw)) stateUsage(state, raw, coversResponse(raw))
  }

  return {
    get error() {
      return error
    },
    take({ chunk, exact }) {
      if (asObject(chunk.error) === null) return takeText(chunk, exact, () => takeUsage(chunk))
      takeUsage(chunk)
      state.isFinal = isGoogleUsage(chunk.usageMetadata)
      error = readGoogleErrorFrame(chunk)
      return null
    },
    takePlain: ({ chunk, usage: stated, coversResponse: covers }) =>
      takeText(chunk, null, () => stateUsage(state, stated, covers)),
    finish() {
      conclude(state)
      const isOpen = choices.size > 0 && !choices.areFinished
      const nothing = choices.size === 0 && chunks.blocked === null && !usage.isStated
      if (nothing || isOpen) return { bytes: null, done: false, error: brokenOff() }
      // A prompt that was blocked, or billed for no response at all.
      if (choices.size === 0)
        choices.block({ native: chunks.blocked ?? NO_CANDIDATES, filtered: chunks.blocked !== null })
      return { bytes: Buffer.from(choices.end()), done: true, error }
    },
    facts: factsOf(state),
  }
}

/** Each frame states all usage so far. One that tells no tokens of the response leaves open what its text costs, unless it is the last. */
function stateUsage(state: State, usage: Json | string, covers: boolean): void {
  state.usage.state(usage)
  state.isFinal = state.choices.areFinished
  if (covers || state.isFinal) state.shown.cover()
}

/** What only the end can tell: what the searches cost, and whether text went without a token for it. */
function conclude(state: State): void {
  const reading = state.usage.read()
  const last = state.usage.stated()
  const { usage } = reading
  if (usage === null || last === null) return
  const { choices, context, shown } = state
  state.isFinal = choices.areFinished || state.frames === 0
  reading.usage = { ...usage, toolFees: toolUses(choices.sources, reading.model ?? context.model) }
  reading.consistent = reading.consistent && (coversResponse(last) || shown.bytes === 0)
}

function factsOf(state: State): StreamFacts {
  const { context, shown, chunks, choices, usage } = state
  const { outputText, shownText, textSince } = shown
  return {
    get reading() {
      return usage.read()
    },
    get finishReasons() {
      return choices.finishReasons
    },
    get frames() {
      return state.frames
    },
    get shownBytes() {
      return shown.bytes
    },
    get isFinal() {
      return state.isFinal
    },
    get hasContent() {
      return state.frames > 0
    },
    outputText,
    shownText,
    textSince,
    usageFrame(cost, charged, replaces = false) {
      const { usage: stated } = usage.read()
      return chunks.usage(stated === null || replaces ? charged : usageRecord(stated), cost)
    },
    stopFrames() {
      const indexes = Array.from({ length: context.choices }, (_, index) => index)
      const stop = { delta: '{}', logprobs: 'null', finishReason: 'length', native: '' } as const
      return Buffer.from(indexes.map((index) => chunks.text(index, stop)).join(''))
    },
  }
}

function brokenOff(): ProviderError {
  const broken = readGoogleErrorFrame(null)
  return { ...broken, internal: 'the stream ended without a finish reason' }
}
