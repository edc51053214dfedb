/** Images of a provider that has them in OpenAI's dialect: the bytes of both sides pass, but for the model's name, the usage, and words of older models. */
import type { FlatCall } from '../flat-request.ts'
import { prepareFlat } from '../flat-request.ts'
import type { ImagesCapability } from '../images.ts'
import { imageAdditionsOf } from '../known-members/media-members.ts'
import { isOwnHost } from '../openai-body.ts'
import { droppable, isSet, PLAIN_MODEL } from '../openai-dialect.ts'
import type { OpenAiFacts } from '../openai-facts.ts'
import type { Refusal } from '../provider.ts'
import { readImages } from './response.ts'
import { readImageStream } from './stream.ts'
import { isGptImage, ownQuality, tokensMade, tokensRead } from './tokens.ts'

type Json = Readonly<Record<string, unknown>>

export interface ImageFacts {
  /** Members of OpenAI's that it does not have. @default none */
  lacks?: readonly string[]
}

/** Its usage comes at the end: what is made can't be seen in a stream before. */
const IMAGE_MODEL = { ...PLAIN_MODEL, hiddenReasoning: true }

export function openAiImages(dialect: OpenAiFacts, { lacks = [] }: ImageFacts = {}): ImagesCapability {
  const { own, foreign } = imageAdditionsOf(dialect.name)
  return {
    makes: () => false,
    model: () => IMAGE_MODEL,
    takes: (apiBase) => (isOwnHost(dialect, apiBase) ? own : foreign),
    refuses: (json, model) => [
      ...lacks.filter((key) => isSet(json, key, 'auto')).map((key) => droppable(key, dialect.label)),
      ...refuses(json, model, dialect.label),
    ],
    tokensMade,
    tokensRead,
    prepare: (call) => prepareFlat(dialect, call, { path: pathOf(call), changes: changesOf(call) }),
    readResponse: (body, context) => readImages(dialect, body, context),
    readStream: (context) => readImageStream(dialect, context),
  }
}

function pathOf({ request }: FlatCall): string {
  return request.form === null ? '/images/generations' : '/images/edits'
}

/** Its models speak of quality in words of their own, and always return bytes: they refuse the member that asks for them. */
function changesOf({ request: { json }, model, defaults }: FlatCall): Readonly<Record<string, unknown>> {
  const { quality, response_format: format } = { ...defaults, ...json }
  const own = ownQuality(quality, model)
  return {
    ...(own === null ? {} : { quality: own }),
    ...(isGptImage(model) && format !== undefined ? { response_format: null } : {}),
  }
}

const MOVING: Refusal = {
  param: 'output_format',
  message: "What an image of this format costs can't be known before the call. Ask for png, jpeg or webp.",
  droppable: false,
}

function refuses(json: Json, model: string, label: string): Refusal[] {
  const refused: Refusal[] = []
  if (json.output_format === 'gif' || json.output_format === 'svg') refused.push(MOVING)
  for (const key of ['complexity', 'frame_count', 'frame_duration_ms', 'svg'])
    if (isSet(json, key)) refused.push(droppable(key, label))
  if (!isGptImage(model)) return refused
  if (isSet(json, 'response_format', 'b64_json')) refused.push(droppable('response_format', label))
  if (isSet(json, 'style')) refused.push(droppable('style', label))
  return refused
}
