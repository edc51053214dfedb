/** A complete JSON response in OpenAI's dialect: forwarded as received but for `usage` and finish reasons only its maker knows. */

import { finishReason } from './finish-reason.ts'
import { asObject, parseJson } from './json.ts'
import { type Change, changeMembers, objectMembers } from './json-members.ts'
import { collectSaid, saysAnything } from './openai-content.ts'
import { readOpenAiErrorFrame } from './openai-errors.ts'
import type { OpenAiFacts } from './openai-facts.ts'
import { readConsumed } from './openai-reading.ts'
import type { ProviderError, ProviderResponse } from './provider.ts'
import { emptyReading, isPaid, type Reading } from './reading.ts'
import { imagesIn, noteImages } from './seen-images.ts'
import { createShownModel } from './shown-model.ts'
import { shownUsage } from './shown-usage.ts'

interface Choice {
  finish_reason?: unknown
  message?: unknown
  text?: unknown
}

/** @param asked the model's name that the caller wrote, which is shown. */
export function readOpenAiResponse(
  dialect: OpenAiFacts,
  body: Buffer,
  asked: string,
): ProviderResponse | ProviderError | null {
  const json = asObject(parseJson(body))
  if (json === null) return null
  const consumed = readConsumed(dialect, json.usage, json)
  const reading: Reading = {
    ...emptyReading(),
    ...consumed,
    model: typeof json.model === 'string' && json.model !== '' ? json.model : null,
    serviceTier: typeof json.service_tier === 'string' ? json.service_tier : null,
  }
  for (const choice of Array.isArray(json.choices) ? json.choices : [])
    noteImages(reading, imagesIn(asObject(asObject(choice)?.message)))
  const failure = failureOf(json)
  if (failure !== null) {
    const error = readOpenAiErrorFrame(dialect, failure)
    return isPaid(reading) ? { ...error, consumed: reading } : error
  }
  if (!Array.isArray(json.choices) || json.choices.length === 0)
    // This is no response, but it says what it cost, so the call is not made again.
    return isPaid(reading) ? { ...readOpenAiErrorFrame(dialect, null), consumed: reading } : null
  const choices = (json.choices as unknown[]).map((choice) => (asObject(choice) ?? {}) as Choice)
  const shownText = () => {
    const pieces: string[] = []
    for (const choice of choices) collectSaid(choice, pieces)
    return pieces.join('')
  }
  return {
    reading,
    finishReasons: choices.map((choice) => finishReason(choice.finish_reason) ?? ''),
    hasContent: choices.some(saysAnything),
    outputText: () => (consumed === null ? shownText() : ''),
    shownText,
    body(cost, usage, replaces = false) {
      const members = objectMembers(body)
      const own = members.find((member) => member.key === 'usage')
      const asStated = !replaces && consumed !== null && own !== undefined
      const stated = asStated ? body.subarray(own.valueStart, own.end) : Buffer.from(JSON.stringify(usage))
      const shown = shownUsage(stated, asStated ? consumed.usage : null, cost)
      const changes: Change[] = [
        { key: 'usage', value: shown.toString('utf8') },
        ...createShownModel(asked).changes(json.model),
      ]
      if (choices.some(isForeign)) changes.push({ key: 'choices', value: JSON.stringify(choices.map(translated)) })
      return changeMembers(body, members, changes)
    },
  }
}

/** A response that broke off before it said anything is none, whatever its status. */
function failureOf(json: Readonly<Record<string, unknown>>): unknown {
  if (!Array.isArray(json.choices)) return json.error === undefined || json.error === null ? null : json
  const first = asObject(json.choices[0])
  if (first?.finish_reason !== 'error' && asObject(first?.error) === null) return null
  const pieces: string[] = []
  collectSaid(first ?? {}, pieces)
  return pieces.join('') === '' ? { error: asObject(first?.error) ?? {} } : null
}

function isForeign(choice: Choice): boolean {
  return typeof choice.finish_reason === 'string' && finishReason(choice.finish_reason) !== choice.finish_reason
}

function translated(choice: Choice): Choice {
  return isForeign(choice) ? { ...choice, finish_reason: finishReason(choice.finish_reason) } : choice
}
