/**
 * Images at OpenRouter: a chat completion that asks for images, which stand in its message beside the text. It states what it bills. The
 * tokens of Google's images are known; others are for the operator to price by the image.
 */
import { drawnList, refusesOfDrawing, sentImages, undrawn } from './drawn-images.ts'
import type { PreparedRequest } from './flat-request.ts'
import { googleTokensMade, googleTokensRead, refusesOfShape, shapeOf } from './google/images/shape.ts'
import type { ImagesCall, ImagesCapability, ImagesContext, ImageTokens } from './images.ts'
import { asObject, parseJson } from './json.ts'
import { imageAdditionsOf } from './known-members/media-members.ts'
import { openAiRequest } from './openai-body.ts'
import { PLAIN_MODEL } from './openai-dialect.ts'
import { readOpenAiErrorFrame } from './openai-errors.ts'
import type { OpenAiFacts } from './openai-facts.ts'
import { openAiImages } from './openai-images/capability.ts'
import { readImages } from './openai-images/response.ts'
import { readOpenAiResponse } from './openai-response.ts'
import { readOpenAiUsage } from './openai-usage.ts'
import type { ProviderError, ProviderResponse, Refusal } from './provider.ts'
import { isPaid } from './reading.ts'
import { inputTokens, outputTokens } from './usage.ts'

type Json = Readonly<Record<string, unknown>>

const { own, foreign } = imageAdditionsOf('openrouter')
/** Of an image that is sent to a model of which nothing is published. */
const UNKNOWN_READ: ImageTokens = { most: 16_384, expected: 1_120 }

/** Models that write too. Others are known by their names, or by the operator's word. */
export function drawsAtGoogle(model: string): boolean {
  return /^google\/gemini-[\w.-]*-image/.test(model)
}

export function drawsAtOpenAi(model: string): boolean {
  return /^openai\/gpt-[\d.]+-image/.test(model)
}

export function writesToo(model: string): boolean {
  return drawsAtGoogle(model) || drawsAtOpenAi(model)
}

/** @param adds the bound on the price of who serves. */
export function routedImages(
  facts: OpenAiFacts,
  adds: (call: ImagesCall) => Readonly<Record<string, string>>,
): ImagesCapability {
  return {
    makes: writesToo,
    model: () => ({ ...PLAIN_MODEL, hiddenReasoning: true }),
    takes: (apiBase) => (apiBase === null ? own : foreign),
    refuses: (json, model) => refusesAt(json, model, facts.label),
    tokensMade: (asked, model) => ofGoogle(model, (name) => googleTokensMade(asked, name)),
    tokensRead: (_, model) => ofGoogle(model, googleTokensRead) ?? UNKNOWN_READ,
    prepare: (call) => prepareRouted(facts, call, adds(call)),
    readResponse: (body, context) => readRouted(facts, body, context),
    readStream: openAiImages(facts).readStream,
  }
}

/** `google/gemini-2.5-flash-image:nitro` is Google's gemini-2.5-flash-image. */
function ofGoogle<Value>(model: string, of: (name: string) => Value): Value | null {
  const name = /^google\/([^:]+)/.exec(model)?.[1]
  return name === undefined ? null : of(name)
}

function refusesAt(json: Json, model: string, label: string): Refusal[] {
  const shape = ofGoogle(model, (name) => refusesOfShape(json, name))
  if (shape !== null) return [...refusesOfDrawing(json, label, 1), ...shape]
  return [...refusesOfDrawing(json, label, 1), ...refusesOfShape(json, '')]
}

function prepareRouted(facts: OpenAiFacts, call: ImagesCall, added: Readonly<Record<string, string>>): PreparedRequest {
  const { request, defaults, drop, model, asked, mostTokens } = call
  const json = { ...defaults, ...request.json }
  const ratio = drop.includes('aspect_ratio') ? null : json.aspect_ratio
  const { aspectRatio, step } = shapeOf(asked.size, ratio, ofGoogle(model, (name) => name) ?? '') ?? {}
  const images = sentImages(request.form?.files ?? []).map(({ type, data }) => ({
    type: 'image_url',
    image_url: { url: `data:${type};base64,${data}` },
  }))
  const said = images.length === 0 ? json.prompt : [{ type: 'text', text: json.prompt }, ...images]
  const body = JSON.stringify({
    model,
    messages: [{ role: 'user', content: said }],
    modalities: writesToo(model) ? ['image', 'text'] : ['image'],
    ...(mostTokens === null ? {} : { max_tokens: mostTokens }),
    ...(aspectRatio === undefined
      ? {}
      : { image_config: { aspect_ratio: aspectRatio, ...(step && { image_size: step }) } }),
    ...Object.fromEntries(Object.entries(added).map(([key, value]) => [key, JSON.parse(value) as unknown])),
  })
  const asks = { path: '/chat/completions', stream: false, body: Buffer.from(body) }
  const sent = openAiRequest(facts, call, asks)
  return { ...sent, body: [sent.body] }
}

function readRouted(facts: OpenAiFacts, body: Buffer, context: ImagesContext): ProviderResponse | ProviderError | null {
  const read = readOpenAiResponse(facts, body, context.shown)
  if (read === null || 'kind' in read) return read
  const json = asObject(parseJson(body)) ?? {}
  const urls = urlsIn(json)
  const { reading } = read
  const list = { urls, usage: statedUsage(json.usage), model: reading.model, created: context.created }
  if (urls.length > 0) return readImages(facts, drawnList(list), context)
  const error = undrawn(
    readOpenAiErrorFrame(facts, null),
    read.finishReasons.includes('content_filter'),
    read.shownText(),
  )
  return isPaid(reading) ? { ...error, consumed: reading } : error
}

function urlsIn({ choices }: Json): string[] {
  return (Array.isArray(choices) ? choices : []).flatMap((choice) => {
    const images: unknown = asObject(asObject(choice)?.message)?.images
    return (Array.isArray(images) ? images : []).flatMap((image) => {
      const url: unknown = asObject(asObject(image)?.image_url)?.url
      return typeof url === 'string' && url !== '' ? [url] : []
    })
  })
}

/** In OpenAI's words for images, with its bill. Where it does not say which tokens are the image's, all that is no thought is. */
function statedUsage(raw: unknown): Json | null {
  const read = readOpenAiUsage(raw)
  if (read === null) return null
  const { usage, total } = read
  const [input, output] = [inputTokens(usage), outputTokens(usage)]
  const text = usage.imageOutput > 0 ? output - usage.imageOutput : usage.reasoning
  const { cost, is_byok, cost_details } = asObject(raw) ?? {}
  return {
    input_tokens: input,
    output_tokens: output,
    total_tokens: total ?? input + output,
    input_tokens_details: { text_tokens: input, image_tokens: 0 },
    output_tokens_details: { text_tokens: text, image_tokens: output - text },
    ...{ cost, is_byok, cost_details },
  }
}
