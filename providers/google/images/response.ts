/** Images of Google's, whichever method made them, as OpenAI's list. */
import { drawnList, undrawn } from '../../drawn-images.ts'
import type { ImagesContext } from '../../images.ts'
import { asObject, parseJson } from '../../json.ts'
import { readImages } from '../../openai-images/response.ts'
import { count } from '../../openai-usage.ts'
import type { ProviderError, ProviderResponse } from '../../provider.ts'
import { isPaid } from '../../reading.ts'
import { inputTokens, outputTokens } from '../../usage.ts'
import { COMPATIBLE_FACTS } from '../compatible.ts'
import { readGoogleErrorFrame } from '../errors.ts'
import { textOf } from '../parts.ts'
import { type Answer, readAnswer } from '../read-answer.ts'

type Json = Readonly<Record<string, unknown>>

export function readGoogleImages(body: Buffer, context: ImagesContext): ProviderResponse | ProviderError | null {
  const json = asObject(parseJson(body))
  if (json === null) return null
  if (json.data !== undefined) return readImages(COMPATIBLE_FACTS, body, context)
  if (json.error === undefined && (json.predictions !== undefined || Object.keys(json).length === 0))
    return readPredictions(json, context)
  const answer = readAnswer(body, context.model)
  return answer === null || 'kind' in answer ? answer : readDrawing(answer, context)
}

/** Imagen's: a prediction that was filtered says why in the place of its image. Nothing at all came where every one was. */
function readPredictions({ predictions }: Json, context: ImagesContext): ProviderResponse | ProviderError | null {
  const list = (Array.isArray(predictions) ? predictions : []).map((one) => asObject(one) ?? {})
  const urls = list.flatMap(({ bytesBase64Encoded: data, mimeType }) =>
    typeof data === 'string' && data !== '' ? [`data:${textOf(mimeType) || 'image/png'};base64,${data}`] : [],
  )
  if (urls.length === 0) {
    const why = list.map(({ raiFilteredReason: reason }) => textOf(reason)).find((reason) => reason !== '')
    return undrawn(readGoogleErrorFrame(null), true, why ?? '')
  }
  return readImages(COMPATIBLE_FACTS, drawnList({ urls, usage: null, model: null, created: context.created }), context)
}

function readDrawing(answer: Answer, context: ImagesContext): ProviderResponse | ProviderError | null {
  const { candidates, blocked, facts } = answer
  const { reading } = facts
  const urls = candidates.flatMap(({ said }) => said.images.map(({ url }) => url))
  const list = { urls, usage: statedUsage(answer), model: reading.model, created: context.created }
  if (urls.length > 0) return readImages(COMPATIBLE_FACTS, drawnList(list), context)
  const isRefused = blocked !== null || candidates.some(({ finishReason }) => finishReason === 'content_filter')
  const error = undrawn(readGoogleErrorFrame(null), isRefused, facts.shownText())
  return isPaid(reading) ? { ...error, consumed: reading } : error
}

/** In OpenAI's words. Where the response does not say which of its tokens are the image's, all that is no thought is. */
function statedUsage({ json, stated, facts: { reading } }: Answer): Json | null {
  if (stated === null) return null
  const [input, output] = [inputTokens(stated), outputTokens(stated)]
  const raw = asObject(json.usageMetadata) ?? {}
  const images = modalityOf(raw.promptTokensDetails)
  const text = modalityOf(raw.candidatesTokensDetails) > 0 ? output - stated.imageOutput : stated.reasoning
  return {
    input_tokens: input,
    output_tokens: output,
    total_tokens: reading.consistent ? input + output : (count(raw.totalTokenCount) ?? input + output),
    input_tokens_details: { text_tokens: Math.max(0, input - images), image_tokens: Math.min(images, input) },
    output_tokens_details: { text_tokens: text, image_tokens: output - text },
  }
}

function modalityOf(details: unknown): number {
  return (Array.isArray(details) ? details : [])
    .map((one) => asObject(one) ?? {})
    .reduce((sum, { modality, tokenCount }) => sum + (modality === 'IMAGE' ? (count(tokenCount) ?? 0) : 0), 0)
}
