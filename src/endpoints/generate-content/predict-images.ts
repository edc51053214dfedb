/** POST /v1beta/models/{model}:predict, as `generateImages` of Gemini's clients asks it: served as images, whichever provider makes them. */
import { listOf } from '../../../providers/google/passed/passed-tools.ts'
import { asObject, parseJson } from '../../../providers/json.ts'
import { objectMembers } from '../../../providers/json-members.ts'
import { shapeOf } from '../../../providers/known-members/shape.ts'
import type { ProviderResponse } from '../../../providers/provider.ts'
import { usageWithCost } from '../../../providers/usage-with-cost.ts'
import type { Endpoint } from '../../call/endpoint.ts'
import type { JsonObject } from '../../http/json-object.ts'
import { imagesTerms } from '../images/images-terms.ts'
import { readGeneration } from '../images/read-request.ts'
import { bad } from '../read-members.ts'
import { generateContent } from './generate-content.ts'
import { googleError } from './google-errors.ts'
import { inOneSpelling } from './one-spelling.ts'
import { generateUsage } from './usage-shape.ts'
import { refuseStrangers, wholeCall } from './whole-call.ts'

const SHAPE = shapeOf([
  'instances[].prompt',
  ...['sampleCount', 'aspectRatio', 'sampleImageSize'].map((name) => `parameters.${name}`),
])
/** What is made where nobody says how many. */
const USUAL_COUNT = 4
/** Pixels that mean such a size; the ratio of the sides is stated apart. */
const SIZES: ReadonlyMap<unknown, string> = new Map([
  ['1K', '1024x1024'],
  ['2K', '2048x2048'],
])

export function predictImages(model: string): Endpoint {
  return {
    name: `predict ${model}`,
    serviceType: 'image_generation',
    read(body, sent) {
      const request = readGeneration(readPredict(body, model))
      return wholeCall(model, { body, sent }, (deployment) => imagesTerms(request, deployment, false), inWords)
    },
    errorBody: googleError,
    usageShape: generateUsage,
    // There are no streams; an error always has this form.
    stream: generateContent({ model, stream: true, isArray: false }).stream,
  }
}

/** A request for images in OpenAI's words. @throws {TollgateError} 400, naming the member that is wrong. */
function readPredict(body: JsonObject, model: string): JsonObject {
  const { json } = inOneSpelling(body, SHAPE)
  refuseStrangers(json, SHAPE)
  const [first, ...others] = listOf(json.instances)
  const prompt = asObject(first)?.prompt
  if (typeof prompt !== 'string' || prompt === '' || others.length > 0)
    throw bad('instances', '"instances" must have one object with a "prompt".')
  const { sampleCount: n = USUAL_COUNT, aspectRatio, sampleImageSize: size } = asObject(json.parameters) ?? {}
  if (size !== undefined && !SIZES.has(size))
    throw bad('parameters.sampleImageSize', `"sampleImageSize" must be one of ${[...SIZES.keys()].join(', ')}.`)
  const asked = {
    model,
    prompt,
    n,
    response_format: 'b64_json',
    ...(aspectRatio === undefined ? {} : { aspect_ratio: aspectRatio }),
    ...(size === undefined ? {} : { size: SIZES.get(size) }),
  }
  const text = Buffer.from(JSON.stringify(asked))
  return { ...body, text, members: objectMembers(text), json: asked }
}

function inWords(response: ProviderResponse): ProviderResponse {
  return {
    ...response,
    body(cost, usage) {
      const list = asObject(parseJson(response.body(null, {}).toString('utf8')))
      const type = typeof list?.output_format === 'string' ? list.output_format : 'png'
      const predictions = listOf(list?.data).map((one) => ({
        mimeType: `image/${type}`,
        bytesBase64Encoded: asObject(one)?.b64_json,
      }))
      const shown = usageWithCost(null, cost, usage).toString('utf8')
      return Buffer.from(`${JSON.stringify({ predictions }).slice(0, -1)},"usageMetadata":${shown}}`)
    },
  }
}
