/**
 * HuggingFace's embeddings. Its own servers (`hf-inference`) have them as feature extraction, which states no usage; those it resells have
 * OpenAI's dialect below a path of their own; so have its containers behind an `api_base`.
 */

import type { EmbeddingInput, EmbeddingsCall, EmbeddingsCapability, EmbeddingsContext } from './embeddings.ts'
import { listResponse, vectorsIn } from './embeddings-body.ts'
import { parseJson } from './json.ts'
import { openAiRequest } from './openai-body.ts'
import { openAiEmbeddings, prepareEmbeddings } from './openai-embeddings.ts'
import type { OpenAiFacts } from './openai-facts.ts'
import type { ProviderError, ProviderResponse, Refusal, UpstreamRequest } from './provider.ts'
import { emptyReading } from './reading.ts'

type Json = Readonly<Record<string, unknown>>

const ROUTER = 'https://router.huggingface.co'
const OWN_SERVER = 'hf-inference'

/** @param serverOf who serves a model by its name; null where it does not say. */
export function huggingFaceEmbeddings(
  dialect: OpenAiFacts,
  serverOf: (model: string) => string | null,
): EmbeddingsCapability {
  const openai = openAiEmbeddings(dialect)
  const isOwn = (model: string, apiBase: string | null) =>
    apiBase === null && (serverOf(model) ?? OWN_SERVER) === OWN_SERVER

  function prepare(call: EmbeddingsCall): UpstreamRequest {
    const { model, apiBase } = call
    if (isOwn(model, apiBase)) return prepareExtraction(call)
    if (apiBase !== null) return openai.prepare(call)
    const server = encodeURIComponent(serverOf(model) ?? '')
    return prepareEmbeddings(dialect, { sentAs: bare }, { ...call, apiBase: ROUTER }, `/${server}/v1/embeddings`)
  }

  function prepareExtraction(call: EmbeddingsCall): UpstreamRequest {
    const path = `/${OWN_SERVER}/models/${bare(call.model).split('/').map(encodeURIComponent).join('/')}/pipeline/feature-extraction`
    const body = Buffer.from(JSON.stringify({ inputs: call.request.input.texts }))
    return openAiRequest(dialect, { ...call, apiBase: ROUTER }, { path, stream: false, body })
  }

  function refuses(json: Json, { tokenLists }: EmbeddingInput, model: string, apiBase: string | null): Refusal[] {
    if (!isOwn(model, apiBase)) return []
    const refused = [
      ...(tokenLists.length > 0 ? [refusal('input', 'takes texts, not tokens', false)] : []),
      ...((json.dimensions ?? null) === null
        ? []
        : [refusal('dimensions', "can't shorten what this model returns", true)]),
    ]
    return refused
  }

  return {
    ...openai,
    isTranslated: isOwn,
    refuses,
    prepare,
    readResponse: (body, context) => readExtraction(body, context) ?? openai.readResponse(body, context),
  }
}

function refusal(param: string, why: string, droppable: boolean): Refusal {
  const message = `HuggingFace ${why}. ${droppable ? `Leave '${param}' out.` : "Send 'input' as a text or a list of texts."}`
  return { param, message, droppable }
}

/** Without the server behind it. */
function bare(model: string): string {
  const colon = model.lastIndexOf(':')
  return colon < 0 ? model : model.slice(0, colon)
}

const BRACKET = 0x5b

/** A list for each text. */
function readExtraction(body: Buffer, context: EmbeddingsContext): ProviderResponse | ProviderError | null {
  const vectors = body[0] === BRACKET ? vectorsIn(parseJson(body)) : null
  return vectors === null ? null : listResponse(vectors, emptyReading(), context)
}
