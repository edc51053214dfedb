/**
 * Gemini's embeddings: `batchEmbedContents`, which takes texts and states the tokens of the newest models; where `api_base` is Google's
 * OpenAI-compatible endpoint, that one. What it does not state is counted here.
 */

import type { EmbeddingInput, EmbeddingsCall, EmbeddingsCapability, EmbeddingsContext } from '../embeddings.ts'
import { listResponse, vectorsIn } from '../embeddings-body.ts'
import { asObject, parseJson } from '../json.ts'
import { openAiEmbeddings, readEmbeddings } from '../openai-embeddings.ts'
import { count } from '../openai-usage.ts'
import type { ModelFacts, ProviderError, ProviderResponse, Refusal, UpstreamRequest } from '../provider.ts'
import { emptyReading, type Reading } from '../reading.ts'
import { NO_USAGE } from '../usage.ts'
import { COMPATIBLE_FACTS, isCompatible } from './compatible.ts'
import { LABEL, readGoogleErrorFrame } from './errors.ts'
import { bareModel } from './models.ts'
import { BASE_URL, googleTarget } from './request.ts'

type Json = Readonly<Record<string, unknown>>

/** In one batch. */
const INPUTS_MAX = 100

const compatible = openAiEmbeddings(COMPATIBLE_FACTS, { model: embedder })

export const googleEmbeddings: EmbeddingsCapability = {
  model: embedder,
  framing: () => 0,
  takes: compatible.takes,
  isTranslated: (_, apiBase) => !isCompatible(apiBase),
  refuses,
  prepare: (call) => (isCompatible(call.apiBase) ? compatible.prepare(call) : prepareBatch(call)),
  readResponse,
}

/** Google's vocabulary is larger than the one that stands in for it. */
function embedder(): ModelFacts {
  return {
    maxOutputTokens: null,
    hiddenReasoning: false,
    encoding: 'o200k_base',
    countPercent: 100,
    tokensPercent: 110,
    hiddenInput: { always: 0, withTools: 0 },
  }
}

function refuses(_: Json, { texts, tokenLists }: EmbeddingInput): Refusal[] {
  if (tokenLists.length > 0) {
    const message = `${LABEL} takes texts, not tokens, which are those of another model. Send 'input' as a text or a list of texts.`
    return [{ param: 'input', message, droppable: false }]
  }
  if (texts.length <= INPUTS_MAX) return []
  return [{ param: 'input', message: `${LABEL} takes ${INPUTS_MAX} texts at a time. Send fewer.`, droppable: false }]
}

function prepareBatch({ request, model, apiKey, apiBase, extraHeaders, defaults }: EmbeddingsCall): UpstreamRequest {
  const { dimensions = null } = { ...defaults, ...request.json }
  const name = `models/${bareModel(model)}`
  const requests = request.input.texts.map((text) => ({
    model: name,
    content: { parts: [{ text }] },
    ...request.purpose,
    ...(dimensions === null ? {} : { outputDimensionality: dimensions }),
  }))
  const target = googleTarget(apiBase ?? BASE_URL, {
    model,
    method: 'batchEmbedContents',
    apiKey,
    extraHeaders,
    accept: 'application/json',
  })
  return { ...target, body: Buffer.from(JSON.stringify({ requests })) }
}

function readResponse(body: Buffer, context: EmbeddingsContext): ProviderResponse | ProviderError | null {
  const json = asObject(parseJson(body))
  if (json === null) return null
  if (json.data !== undefined) return readEmbeddings(COMPATIBLE_FACTS, body, context, json)
  if (json.error !== undefined) return readGoogleErrorFrame(json)
  if (!Array.isArray(json.embeddings)) return null
  const vectors = vectorsIn(json.embeddings.map((one: unknown) => asObject(one)?.values))
  return vectors === null ? null : listResponse(vectors, readingOf(json), context)
}

/** The prompt's tokens; older models state nothing. */
function readingOf(json: Json): Reading {
  const input = count(asObject(json.usageMetadata)?.promptTokenCount)
  return input === null ? emptyReading() : { ...emptyReading(), usage: { ...NO_USAGE, input } }
}
