/** The choices of a stream in OpenAI's dialect: what each has said, so that its role and its end are said once. */
import { finishReason } from './finish-reason.ts'
import { type Choice, indexOf } from './openai-chunk.ts'
import { saysAnything } from './openai-content.ts'

export interface OpenAiChoices {
  /** Something was said: text, a call, sound, an image. */
  readonly spoke: boolean
  /** The role of a choice was said. */
  readonly hasRole: boolean
  /** By index, the finish reason of each choice that has one. */
  readonly finished: ReadonlyMap<number, string>
  endsAll(parts: readonly Choice[]): boolean
  tellsNews(choice: Choice, besideUsage: boolean): boolean
  saidOnce(choice: Choice): Choice
}

/** `count` is the request's `n`. */
export function createOpenAiChoices(count: number): OpenAiChoices {
  const finished = new Map<number, string>()
  /** Choices whose role was said. Some servers say it in every frame, and clients that join texts make `assistantassistant` of it. */
  const introduced = new Set<number>()
  let spoke = false

  /** Whether every choice has its finish reason, with those of the frame at hand. */
  function endsAll(parts: readonly Choice[]): boolean {
    const ending = parts.filter((choice) => finishReason(choice.finish_reason) !== null).map(indexOf)
    const news = new Set(ending.filter((index) => !finished.has(index)))
    return finished.size + news.size >= count
  }

  /** False for a second finish reason, and for the empty delta beside usage, which say nothing new. */
  function tellsNews(choice: Choice, besideUsage: boolean): boolean {
    const index = indexOf(choice)
    if (saysAnything(choice)) {
      spoke = true
      endChoice(index, choice)
      return true
    }
    if (finishReason(choice.finish_reason) === null) return !(besideUsage && finished.has(index))
    return endChoice(index, choice)
  }

  /** A choice as it may go out: its role and its end said once, the end in OpenAI's words. The same object where nothing changes. */
  function saidOnce(choice: Choice): Choice {
    const index = indexOf(choice)
    const { finish_reason: stated, delta } = choice
    const ends = stated !== undefined && (isForeign(stated) || (stated !== null && finished.has(index)))
    const repeats = introduced.has(index) && typeof delta?.role === 'string'
    if (typeof delta?.role === 'string') introduced.add(index)
    if (!ends && !repeats) return choice
    const { role: _, ...rest } = delta ?? {}
    return {
      ...choice,
      ...(ends ? { finish_reason: finished.has(index) ? null : finishReason(stated) } : {}),
      ...(repeats ? { delta: rest } : {}),
    }
  }

  function endChoice(index: number, choice: Choice): boolean {
    const reason = finishReason(choice.finish_reason)
    if (reason === null || finished.has(index)) return false
    finished.set(index, reason)
    return true
  }

  return {
    get spoke() {
      return spoke
    },
    get hasRole() {
      return introduced.size > 0
    },
    finished,
    endsAll,
    tellsNews,
    saidOnce,
  }
}

function isForeign(reason: unknown): boolean {
  return reason !== null && finishReason(reason) !== reason
}
