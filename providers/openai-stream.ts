/**
 * Reads a stream in OpenAI's dialect. A frame is forwarded as received unless it carries usage (kept back: the caller gets one
 * usage frame, last, if it asked), a second finish reason, or an error.
 */

import { parseJson } from './json.ts'
import { createOpenAiChoices } from './openai-choices.ts'
import { type Chunk, choicesOf } from './openai-chunk.ts'
import type { OpenAiProgress } from './openai-chunk-filter.ts'
import { collectSaid } from './openai-content.ts'
import type { OpenAiFacts } from './openai-facts.ts'
import { createOpenAiFrameFilter } from './openai-frame-filter.ts'
import { stopFrames, usageChunk } from './openai-last-frames.ts'
import type { StreamPart, StreamReader } from './provider.ts'
import { emptyReading } from './reading.ts'
import { createShown } from './shown.ts'
import { createShownModel } from './shown-model.ts'
import { shownUsage } from './shown-usage.ts'
import { createSseFrames, dataFrame } from './sse-frames.ts'
import { textBytes } from './text-bytes.ts'

/** @param count the request's `n`. @param asked the model's name that the caller wrote, which is shown. */
export function readOpenAiStream(dialect: OpenAiFacts, count: number, asked: string): StreamReader {
  const shownModel = createShownModel(asked)
  const reading = emptyReading()
  const choices = createOpenAiChoices(count)
  /** Frames forwarded, kept by reference, so that what no usage covers, and what a statement is worth, can be counted. */
  const shown = createShown<Buffer>(outputText)
  const progress = startOf(reading, choices)
  const filter = createOpenAiFrameFilter({ dialect, shownModel, asked, progress })
  const scanner = createSseFrames((frame) => {
    const before = progress.usageText
    const verdict = filter(frame)
    if (verdict !== null) {
      const out = verdict === true ? frame : verdict
      shown.add(out, textBytes(out))
    }
    // What came along with usage is covered by it.
    if (progress.usageText !== before) shown.cover()
    return verdict
  })
  const part = (bytes: Buffer | null): StreamPart => ({ bytes, done: progress.done, error: progress.error })

  return {
    push: (chunk) => part(scanner.push(chunk)),
    end() {
      // What a broken connection left of a frame goes out only if it is whole.
      progress.sampled = false
      const last = scanner.end()
      // One that ends in the middle of what it says broke off.
      if (choices.finished.size > 0 || !choices.spoke) progress.isFinal = reading.usage !== null
      return part(last)
    },
    reading,
    get finishReasons() {
      return [...choices.finished.values()]
    },
    get frames() {
      return progress.frames
    },
    get shownBytes() {
      return shown.bytes
    },
    get isFinal() {
      return progress.isFinal
    },
    get hasContent() {
      return choices.spoke
    },
    outputText: shown.outputText,
    shownText: shown.shownText,
    textSince: shown.textSince,
    usageFrame(cost, usage, replaces = false) {
      const stated = replaces ? null : progress.usageText
      const text = stated ?? Buffer.from(JSON.stringify(usage))
      const shownText = shownUsage(text, stated === null ? null : reading.usage, cost).toString('utf8')
      return dataFrame(usageChunk(progress.usagePayload, progress.lastChunk, shownText, shownModel))
    },
    stopFrames: () => stopFrames(progress.lastChunk, count, choices.finished),
  }
}

function startOf(reading: OpenAiProgress['reading'], choices: OpenAiProgress['choices']): OpenAiProgress {
  return {
    reading,
    choices,
    usageText: null,
    usagePayload: null,
    lastChunk: null,
    sampled: false,
    frames: 0,
    isFinal: false,
    done: false,
    error: null,
  }
}

/** Everything a stream showed: content, refusals, reasoning, tool names and arguments, over all choices. */
function outputText(shown: readonly Buffer[]): string {
  const pieces: string[] = []
  for (const frame of Buffer.concat(shown).toString('utf8').split('\n\n')) {
    if (!frame.startsWith('data:')) continue
    const chunk = parseJson(frame.slice(5)) as Chunk | null
    for (const choice of choicesOf(chunk)) collectSaid(choice, pieces)
  }
  return pieces.join('')
}
