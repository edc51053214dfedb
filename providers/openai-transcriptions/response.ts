/** A whole transcription: text and subtitles pass as they came, JSON but for its usage. */
import { asObject, parseJson } from '../json.ts'
import { readOpenAiErrorFrame } from '../openai-errors.ts'
import type { OpenAiFacts } from '../openai-facts.ts'
import type { ProviderError, ProviderResponse } from '../provider.ts'
import { emptyReading, isPaid } from '../reading.ts'
import { withUsage } from '../shown-usage.ts'
import type { TranscriptionContext } from '../transcriptions.ts'
import { readingOf } from './usage.ts'

export function readTranscription(
  dialect: Pick<OpenAiFacts, 'label' | 'errorKind'>,
  body: Buffer,
  context: TranscriptionContext,
): ProviderResponse | ProviderError | null {
  if (!context.isJson) return textResponse(body)
  const json = asObject(parseJson(body))
  if (json === null) return null
  const reading = readingOf(json, context)
  if (typeof json.text !== 'string') {
    const failure = asObject(json.error) ?? (typeof json.error === 'string' ? json.error : null)
    if (failure === null && !isPaid(reading)) return null
    const error = readOpenAiErrorFrame(dialect, json)
    return isPaid(reading) ? { ...error, consumed: reading } : error
  }
  const { text } = json
  return {
    reading,
    finishReasons: [],
    // A silence was heard too.
    hasContent: true,
    outputText: () => (reading.usage === null ? text : ''),
    shownText: () => text,
    body: (cost, usage, replaces = false) =>
      withUsage(body, { usage, cost, isStated: !replaces && asObject(json.usage) !== null }),
  }
}

function textResponse(body: Buffer): ProviderResponse {
  const text = () => body.toString('utf8')
  return {
    reading: emptyReading(),
    finishReasons: [],
    hasContent: true,
    outputText: text,
    shownText: text,
    contentType: 'text/plain; charset=utf-8',
    body: () => body,
  }
}
