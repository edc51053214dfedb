/**
 * Images of Google's: its Gemini models that draw are asked by `generateContent` for an image alone, Imagen by `predict`. Both answer in
 * OpenAI's list. Behind Google's OpenAI-compatible endpoint they are asked as OpenAI is.
 */
import { never, refusesOfDrawing, sentImages } from '../../drawn-images.ts'
import type { PreparedRequest } from '../../flat-request.ts'
import type { ImagesCall, ImagesCapability } from '../../images.ts'
import { imageAdditionsOf } from '../../known-members/media-members.ts'
import { isSet } from '../../openai-dialect.ts'
import { openAiImages } from '../../openai-images/capability.ts'
import type { Refusal } from '../../provider.ts'
import { COMPATIBLE_FACTS, isCompatible } from '../compatible.ts'
import { LABEL } from '../errors.ts'
import { googleModel } from '../models.ts'
import { safetyDefault } from '../passed/asked.ts'
import { BASE_URL, googleTarget } from '../request.ts'
import { readGoogleImages } from './response.ts'
import { drawerOf, googleTokensMade, googleTokensRead, isImagen, refusesOfShape, shapeOf } from './shape.ts'

type Json = Readonly<Record<string, unknown>>

const IMAGEN_MAX = 4
const COMPATIBLE_MAX = 10
const compatible = openAiImages(COMPATIBLE_FACTS)
const { own } = imageAdditionsOf('gemini')

export const googleImages: ImagesCapability = {
  makes: (model) => drawerOf(model) !== null,
  // What was used stands at the end: a cap must be sent.
  model: (name) => ({ ...googleModel(name), hiddenReasoning: true }),
  takes: () => own,
  refuses,
  tokensMade: googleTokensMade,
  tokensRead: (_, model) => googleTokensRead(model),
  prepare: (call) => (isCompatible(call.apiBase) ? compatible.prepare(call) : prepareDrawing(call)),
  readResponse: readGoogleImages,
  readStream: compatible.readStream,
}

function refuses(json: Json, model: string, apiBase: string | null): readonly Refusal[] {
  if (isCompatible(apiBase)) return refusesOfDrawing(json, LABEL, COMPATIBLE_MAX)
  return [
    ...refusesOfDrawing(json, LABEL, isImagen(model) ? IMAGEN_MAX : 1),
    ...refusesOfShape(json, model),
    ...(isImagen(model) && isSet(json, 'image')
      ? [never('image', 'This model takes no images. Ask for another one.')]
      : []),
  ]
}

function prepareDrawing(call: ImagesCall): PreparedRequest {
  const { model, apiKey, apiBase, extraHeaders } = call
  const target = googleTarget(apiBase ?? BASE_URL, {
    model,
    method: isImagen(model) ? 'predict' : 'generateContent',
    accept: 'application/json',
    apiKey,
    extraHeaders,
  })
  return { ...target, body: [Buffer.from(JSON.stringify(isImagen(model) ? imagenBody(call) : geminiBody(call)))] }
}

function geminiBody({ request, model, defaults, drop, asked, mostTokens }: ImagesCall): Json {
  const { prompt, aspect_ratio: ratio } = without({ ...defaults, ...request.json }, drop)
  const { aspectRatio, step } = shapeOf(asked.size, ratio, model) ?? {}
  const config = {
    ...(aspectRatio === undefined ? {} : { aspectRatio }),
    ...(step === undefined ? {} : { imageSize: step }),
  }
  const media = sentImages(request.form?.files ?? []).map(({ type, data }) => ({
    inlineData: { mimeType: type, data },
  }))
  return {
    contents: [{ role: 'user', parts: [{ text: prompt }, ...media] }],
    generationConfig: {
      responseModalities: ['IMAGE'],
      ...(mostTokens === null ? {} : { maxOutputTokens: mostTokens }),
      ...(Object.keys(config).length === 0 ? {} : { imageConfig: config }),
    },
    ...safetyDefault({}, defaults),
  }
}

function imagenBody({ request, model, defaults, drop, asked }: ImagesCall): Json {
  const { prompt, aspect_ratio: ratio } = without({ ...defaults, ...request.json }, drop)
  const { aspectRatio, step } = shapeOf(asked.size, ratio, model) ?? {}
  const shape = {
    ...(aspectRatio === undefined ? {} : { aspectRatio }),
    ...(step === undefined ? {} : { sampleImageSize: step }),
  }
  return { instances: [{ prompt }], parameters: { sampleCount: asked.n, ...shape } }
}

function without(json: Json, drop: readonly string[]): Json {
  return Object.fromEntries(Object.entries(json).filter(([name]) => !drop.includes(name)))
}
