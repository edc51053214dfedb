/** The choices of a stream of Gemini's, each in its own state. */
import { asObject } from '../json.ts'
import type { ResponseContext } from '../provider.ts'
import type { Shown } from '../shown.ts'
import { createChoice, type GoogleChoice } from './choice.ts'
import type { GoogleChunks } from './stream-chunks.ts'

type Json = Record<string, unknown>

/** As many as Gemini ever makes; an index beyond it is no choice. */
const CHOICES_MAX = 8

export interface StreamChoices {
  readonly size: number
  /** All choices, at least one, gave a finish reason. Text may follow it. */
  readonly areFinished: boolean
  readonly finishReasons: readonly string[]
  /** What each choice said that its text is from. */
  readonly sources: readonly GoogleChoice['sources'][]
  /** The chunks of a frame's candidates; empty where they say nothing. `exact` is the frame with numbers as they are written. */
  take(chunk: Json, exact: Json | null): string
  /** There is no choice: one is made that ended so. */
  block(reason: { native: string; filtered: boolean }): void
  /** The chunks that end all choices. */
  end(): string
}

/** @param drew is told how many images each candidate shows. */
export function createStreamChoices(
  context: ResponseContext,
  chunks: GoogleChunks,
  shown: Shown<string>,
  drew: (images: number) => void,
): StreamChoices {
  const choices = new Map<number, GoogleChoice>()

  function choiceAt(index: unknown): GoogleChoice | null {
    const at = index === undefined ? 0 : index
    if (typeof at !== 'number' || !Number.isInteger(at) || at < 0 || at >= CHOICES_MAX) return null
    const known = choices.get(at)
    if (known !== undefined) return known
    const made = createChoice(at, context)
    choices.set(at, made)
    return made
  }

  return {
    get size() {
      return choices.size
    },
    get areFinished() {
      return choices.size > 0 && [...choices.values()].every((choice) => choice.finishReason !== null)
    },
    get finishReasons() {
      return [...choices.values()].flatMap((choice) => choice.finishReason ?? [])
    },
    get sources() {
      return [...choices.values()].map((choice) => choice.sources)
    },
    take(chunk, exact) {
      const candidates: unknown[] = Array.isArray(chunk.candidates) ? chunk.candidates : []
      const exactList: unknown[] = Array.isArray(exact?.candidates) ? exact.candidates : []
      let out = ''
      for (const [position, value] of candidates.entries()) {
        const candidate = asObject(value)
        const choice = candidate === null ? null : choiceAt(candidate.index)
        if (candidate === null || choice === null) continue
        const { deltas, text, images } = choice.take(candidate, exactList[position] ?? null)
        for (const delta of deltas) out += chunks.text(choice.index, delta)
        if (text !== '') shown.add(text, Buffer.byteLength(text))
        drew(images)
      }
      return out
    },
    block(reason) {
      choices.set(0, createChoice(0, context, reason))
    },
    end() {
      let out = ''
      for (const choice of choices.values()) for (const delta of choice.end()) out += chunks.text(choice.index, delta)
      return out
    },
  }
}
