/** What becomes of a chunk in OpenAI's dialect that is read: forwarded, changed or kept back. What it tells goes into the progress. */
import { asObject, parseJson } from './json.ts'
import { changeMembers, objectMembers } from './json-members.ts'
import type { OpenAiChoices } from './openai-choices.ts'
import { type Chunk, choicesOf, failureIn, memberText, withoutUsage } from './openai-chunk.ts'
import { readOpenAiErrorFrame } from './openai-errors.ts'
import type { OpenAiFacts } from './openai-facts.ts'
import { readConsumed } from './openai-reading.ts'
import type { ProviderError } from './provider.ts'
import type { Reading } from './reading.ts'
import { imagesIn, noteImages } from './seen-images.ts'
import type { ShownModel } from './shown-model.ts'
import { dataFrame, isCanonical, type Verdict } from './sse-frames.ts'

/** What is known of the stream so far. */
export interface OpenAiProgress {
  readonly reading: Reading
  readonly choices: OpenAiChoices
  /** The usage object last stated, as its bytes, and the frame it came in. */
  usageText: Buffer | null
  usagePayload: Buffer | null
  lastChunk: Chunk | null
  /** The model is known: chunks may pass without being read. */
  sampled: boolean
  frames: number
  isFinal: boolean
  done: boolean
  error: ProviderError | null
}

export interface OpenAiChunkFilter {
  dialect: OpenAiFacts
  shownModel: ShownModel
  /** The model's name that the caller wrote. */
  asked: string
  progress: OpenAiProgress
}

/** Returns a function that is given a frame and its payload. */
export function createOpenAiChunkFilter({ dialect, shownModel, asked, progress }: OpenAiChunkFilter) {
  const { reading, choices } = progress

  function judgeChunk(frame: Buffer, payload: Buffer): Verdict {
    const chunk = asObject(parseJson(payload)) as Chunk | null
    if (chunk === null) return null
    const carriesUsage = takeUsage(chunk, payload)
    const parts = choicesOf(chunk)
    const failure = failureIn(chunk, parts)
    if (failure !== null) {
      if (carriesUsage) progress.isFinal = true
      progress.error = readOpenAiErrorFrame(dialect, failure)
      return null
    }
    progress.frames += 1
    learn(chunk)
    for (const { delta, message } of parts) noteImages(reading, imagesIn(delta ?? message))
    // An event of the server's own, about its queue for one, is no chunk: clients fail on what has no choices.
    if (parts.length === 0 && (carriesUsage || !Array.isArray(chunk.choices))) return null
    const ours = parts.map(choices.saidOnce)
    const news = parts.map((choice) => choices.tellsNews(choice, carriesUsage))
    if (parts.length > 0 && !news.includes(true)) return null
    const changes = [...withoutUsage(chunk, payload), ...shownModel.changes(chunk.model)]
    if (ours.some((choice, index) => choice !== parts[index]))
      changes.push({ key: 'choices', value: JSON.stringify(ours) })
    if (changes.length > 0) return dataFrame(changeMembers(payload, objectMembers(payload), changes))
    return isCanonical(frame) ? true : dataFrame(payload)
  }

  function learn(chunk: Chunk): void {
    if (typeof chunk.model === 'string' && chunk.model !== '') {
      reading.model = chunk.model
      progress.sampled = true
      progress.lastChunk = { ...chunk, model: asked }
    }
    if (typeof chunk.service_tier === 'string') reading.serviceTier = chunk.service_tier
  }

  /** Usage may come in any frame and more than once: the last counts. True where the frame holds some. */
  function takeUsage(chunk: Chunk, payload: Buffer): boolean {
    const nested = asObject(chunk.x_groq)
    const raw = chunk.usage ?? nested?.usage ?? null
    if (raw === null) return false
    const consumed = readConsumed(dialect, raw, chunk as Record<string, unknown>)
    if (consumed !== null) {
      Object.assign(reading, consumed)
      progress.isFinal = choices.endsAll(choicesOf(chunk))
      progress.usagePayload = payload
      progress.usageText = memberText(
        payload,
        chunk.usage === undefined || chunk.usage === null ? ['x_groq', 'usage'] : ['usage'],
      )
    }
    return true
  }

  return judgeChunk
}
