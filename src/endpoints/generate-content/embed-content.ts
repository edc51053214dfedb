/** POST /v1beta/models/{model}:embedContent and :batchEmbedContents: served as embeddings, whichever provider makes them. */
import type { EmbeddingsRequest } from '../../../providers/embeddings.ts'
import { listOf } from '../../../providers/google/passed/passed-tools.ts'
import { asObject, parseJson } from '../../../providers/json.ts'
import { objectMembers } from '../../../providers/json-members.ts'
import { EMBED_SHAPE } from '../../../providers/known-members/additions.ts'
import type { Shape } from '../../../providers/known-members/shape.ts'
import type { ProviderResponse } from '../../../providers/provider.ts'
import { inputTokens } from '../../../providers/usage.ts'
import { usageWithCost } from '../../../providers/usage-with-cost.ts'
import type { Endpoint } from '../../call/endpoint.ts'
import type { JsonObject } from '../../http/json-object.ts'
import { embeddingsTerms } from '../embeddings/embeddings-terms.ts'
import { readEmbeddingsRequest } from '../embeddings/read-request.ts'
import { bad, unsupported } from '../read-members.ts'
import { generateContent } from './generate-content.ts'
import { googleError } from './google-errors.ts'
import { inOneSpelling } from './one-spelling.ts'
import { refuseStrangers, wholeCall } from './whole-call.ts'

type Json = Readonly<Record<string, unknown>>

/** @param isBatch each text has a request of its own, and one response answers all of them. */
export function embedContent(model: string, isBatch: boolean): Endpoint {
  return {
    name: `embed-content ${isBatch} ${model}`,
    serviceType: 'embedding',
    read(body, sent) {
      const request = readEmbedRequest(body, model, isBatch)
      return wholeCall(
        model,
        { body, sent },
        (deployment) => embeddingsTerms(request, deployment),
        (response) => inWords(response, isBatch),
      )
    },
    errorBody: googleError,
    usageShape: (usage) => ({ promptTokenCount: inputTokens(usage), totalTokenCount: inputTokens(usage) }),
    // There are no streams; an error always has this form.
    stream: generateContent({ model, stream: true, isArray: false }).stream,
  }
}

/** @throws {TollgateError} 400, naming the member that is wrong. */
function readEmbedRequest(body: JsonObject, model: string, isBatch: boolean): EmbeddingsRequest {
  const shape: Shape = isBatch ? EMBED_SHAPE.batch : EMBED_SHAPE.one
  const { json } = inOneSpelling(body, shape)
  refuseStrangers(json, shape)
  const requests = (isBatch ? listOf(json.requests) : [json]).map((one) => asObject(one) ?? {})
  const place = (index: number) => (isBatch ? `requests[${index}].` : '')
  if (requests.length === 0) throw bad('requests', '"requests" must be a list with at least one object.')
  const input = requests.map((one, index) => textOf(one, `${place(index)}content`))
  const [{ outputDimensionality: dimensions = null, taskType, title }] = requests as [Json, ...Json[]]
  for (const [index, one] of requests.entries()) {
    if (!isNamed(one.model, model)) throw bad(`${place(index)}model`, 'The model is named in the path.')
    if ((one.outputDimensionality ?? null) !== dimensions || one.taskType !== taskType || one.title !== title)
      throw bad(place(index).slice(0, -1), 'All requests of a batch must ask for the same dimensions, task and title.')
  }
  const asked = { model, input, ...(dimensions === null ? {} : { dimensions }) }
  const text = Buffer.from(JSON.stringify(asked))
  const purpose = {
    ...(typeof taskType === 'string' ? { taskType } : {}),
    ...(typeof title === 'string' ? { title } : {}),
  }
  return { ...readEmbeddingsRequest({ text, members: objectMembers(text), json: asked }), purpose }
}

function isNamed(stated: unknown, model: string): boolean {
  return stated === undefined || stated === null || stated === model || stated === `models/${model}`
}

function textOf({ content }: Json, place: string): string {
  const parts = listOf(asObject(content)?.parts)
  const texts = parts.map((part, index) => {
    const { text, ...others } = asObject(part) ?? {}
    if (typeof text === 'string' && Object.keys(others).length === 0) return text
    throw unsupported(`${place}.parts[${index}]`, 'Only texts are embedded here.')
  })
  if (texts.length === 0) throw bad(`${place}.parts`, `"${place}.parts" must have at least one text.`)
  return texts.join('\n')
}

function inWords(response: ProviderResponse, isBatch: boolean): ProviderResponse {
  return {
    ...response,
    body(cost, usage) {
      const list = asObject(parseJson(response.body(null, {}).toString('utf8')))?.data
      const embeddings = listOf(list).map((one) => ({ values: asObject(one)?.embedding }))
      const said = isBatch ? { embeddings } : { embedding: embeddings[0] }
      const shown = usageWithCost(null, cost, usage).toString('utf8')
      return Buffer.from(`${JSON.stringify(said).slice(0, -1)},"usageMetadata":${shown}}`)
    },
  }
}
