/** A whole response of images: it passes as it came but for its usage and the name of the model. */
import type { ImagesContext } from '../images.ts'
import { asObject, parseJson } from '../json.ts'
import { readOpenAiErrorFrame } from '../openai-errors.ts'
import type { OpenAiFacts } from '../openai-facts.ts'
import type { ProviderError, ProviderResponse } from '../provider.ts'
import { emptyReading, isPaid, type Reading } from '../reading.ts'
import { createShownModel } from '../shown-model.ts'
import { withUsage } from '../shown-usage.ts'
import { readImageUsage, usageOf } from './usage.ts'

type Json = Readonly<Record<string, unknown>>

export function readImages(
  dialect: Pick<OpenAiFacts, 'label' | 'errorKind' | 'readCost'>,
  body: Buffer,
  context: ImagesContext,
): ProviderResponse | ProviderError | null {
  const json = asObject(parseJson(body))
  if (json === null) return null
  const images = countImages(json.data)
  const reading = readingOf(dialect, json, images, context)
  if (!Array.isArray(json.data)) {
    const failure = json.error === undefined || json.error === null ? null : json
    if (failure === null && !isPaid(reading)) return null
    const error = readOpenAiErrorFrame(dialect, failure)
    return isPaid(reading) ? { ...error, consumed: reading } : error
  }
  return {
    reading,
    finishReasons: [],
    hasContent: images > 0,
    outputText: () => '',
    shownText: () => '',
    body: (cost, usage, replaces = false) =>
      withUsage(
        body,
        { usage, cost, isStated: !replaces && asObject(json.usage) !== null },
        createShownModel(context.shown).changes(json.model),
      ),
  }
}

export function countImages(data: unknown): number {
  return (Array.isArray(data) ? data : []).filter((one) => {
    const { url, b64_json: bytes } = asObject(one) ?? {}
    return [url, bytes].some((value) => typeof value === 'string' && value !== '')
  }).length
}

function readingOf(
  { readCost }: Pick<OpenAiFacts, 'readCost'>,
  json: Json,
  images: number,
  context: ImagesContext,
): Reading {
  const stated = asObject(json.usage)
  const usage = readImageUsage(stated)
  const total = stated?.total_tokens
  const sum = usage === null ? null : usage.input + usage.imageInput + usage.output + usage.imageOutput
  return {
    ...emptyReading(),
    ...usageOf(images, usage, context),
    consistent: sum === null || total === undefined || total === sum,
    cost: stated === null ? null : (readCost?.(stated) ?? null),
    model: typeof json.model === 'string' && json.model !== '' ? json.model : null,
  }
}
