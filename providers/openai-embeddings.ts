/**
 * Embeddings of a provider that has them in OpenAI's dialect: the bytes of both sides pass, but for the model's name, the usage, and
 * numbers that came in another form than was asked for (servers that know no base64 send lists, which OpenAI's client misreads).
 */

import type { EmbeddingsCall, EmbeddingsCapability, EmbeddingsContext, Encoding } from './embeddings.ts'
import { embeddingsBody } from './embeddings-body.ts'
import { asObject, parseJson } from './json.ts'
import type { Change } from './json-members.ts'
import { embeddingAdditionsOf, NEVER_SENT } from './known-members/additions.ts'
import { changedBody, isOwnHost, openAiRequest, prunedMembers } from './openai-body.ts'
import { PLAIN_MODEL } from './openai-dialect.ts'
import { readOpenAiErrorFrame } from './openai-errors.ts'
import type { OpenAiFacts } from './openai-facts.ts'
import { count } from './openai-usage.ts'
import type { ModelFacts, ProviderError, ProviderResponse, UpstreamRequest } from './provider.ts'
import { emptyReading, isPaid, type Reading } from './reading.ts'
import { NO_USAGE } from './usage.ts'

type Json = Readonly<Record<string, unknown>>

export interface EmbeddingFacts {
  /** @default what is true of OpenAI's own, and of those of others */
  model?(name: string): ModelFacts
  /** The name sent upstream. @default the one in the configuration */
  sentAs?(model: string): string
  /** Members it is sent beside the caller's, as JSON text. @default none */
  adds?(call: EmbeddingsCall): Readonly<Record<string, string>>
}

/** OpenAI's embedders have the older vocabulary, and bill the tokens of the text and nothing else. */
const PLAIN_EMBEDDER: ModelFacts = { ...PLAIN_MODEL, encoding: 'cl100k_base' }
/** Those of others have small vocabularies, which make more tokens of the same text, and mark where a text begins and ends. */
const OTHER_EMBEDDER: ModelFacts = { ...PLAIN_EMBEDDER, tokensPercent: 150 }
const MARKS = 2

/** By its name at OpenAI, or at who resells it. */
export function embedderFacts(name: string): ModelFacts {
  return /^(?:openai\/)?text-embedding-/.test(name) ? PLAIN_EMBEDDER : OTHER_EMBEDDER
}

export function openAiEmbeddings(dialect: OpenAiFacts, facts: EmbeddingFacts = {}): EmbeddingsCapability {
  const { own, foreign } = embeddingAdditionsOf(dialect.name)
  return {
    model: facts.model ?? embedderFacts,
    framing: (apiBase) => (isOwnHost(dialect, apiBase) && dialect.name === 'openai' ? 0 : MARKS),
    takes: (apiBase) => (isOwnHost(dialect, apiBase) ? own : foreign),
    isTranslated: () => false,
    refuses: () => [],
    prepare: (call) => prepareEmbeddings(dialect, facts, call),
    readResponse: (body, context) => readEmbeddings(dialect, body, context),
  }
}

/** @param path below the API's address. */
export function prepareEmbeddings(
  dialect: OpenAiFacts,
  facts: EmbeddingFacts,
  call: EmbeddingsCall,
  path = '/embeddings',
): UpstreamRequest {
  const { request, defaults, drop } = call
  const out = new Set([...NEVER_SENT, 'stream', ...drop])
  const changes: Change[] = [...out]
    .filter((key) => Object.hasOwn(request.json, key))
    .map((key) => ({ key, remove: true }))
  const model = facts.sentAs?.(call.model) ?? call.model
  changes.push({ key: 'model', value: JSON.stringify(model) })
  for (const [key, value] of Object.entries(defaults))
    if (!Object.hasOwn(request.json, key) && !out.has(key)) changes.push({ key, value: JSON.stringify(value) })
  changes.push(...prunedMembers(call))
  for (const [key, value] of Object.entries(facts.adds?.(call) ?? {})) changes.push({ key, value })
  const body = changedBody(request, changes)
  return openAiRequest(dialect, call, { path, stream: false, body })
}

/** @param json the body, parsed: it may be long. */
export function readEmbeddings(
  dialect: Pick<OpenAiFacts, 'label' | 'errorKind' | 'readCost'>,
  body: Buffer,
  { asked, encoding }: EmbeddingsContext,
  json = asObject(parseJson(body)),
): ProviderResponse | ProviderError | null {
  if (json === null) return null
  const reading = readingOf(dialect, json)
  const { data } = json
  if (!Array.isArray(data)) {
    const failure = json.error === undefined || json.error === null ? null : json
    if (failure === null && !isPaid(reading)) return null
    const error = readOpenAiErrorFrame(dialect, failure)
    return isPaid(reading) ? { ...error, consumed: reading } : error
  }
  const vectors = data.map((one: unknown) => asObject(one)?.embedding)
  return {
    reading,
    finishReasons: [],
    hasContent: vectors.some((vector) => (typeof vector === 'string' || Array.isArray(vector)) && vector.length > 0),
    outputText: () => '',
    shownText: () => '',
    body: (cost, usage, replaces = false) =>
      embeddingsBody(
        body,
        json,
        { asked, cost, usage, replaces: replaces || reading.usage === null },
        formOf(vectors, encoding),
      ),
  }
}

/** Null: all of it is in the form that was asked for. */
function formOf(vectors: readonly unknown[], encoding: Encoding): Encoding | null {
  const isRight = (vector: unknown) => (encoding === 'base64' ? !Array.isArray(vector) : typeof vector !== 'string')
  return vectors.every(isRight) ? null : encoding
}

/** Only input is billed, whatever is said of output. */
function readingOf({ readCost }: Pick<OpenAiFacts, 'readCost'>, json: Json): Reading {
  const stated = asObject(json.usage)
  const model = typeof json.model === 'string' && json.model !== '' ? json.model : null
  const input = count(stated?.prompt_tokens) ?? count(stated?.total_tokens)
  if (stated === null || input === null) return { ...emptyReading(), model }
  const total = count(stated.total_tokens)
  return {
    ...emptyReading(),
    usage: { ...NO_USAGE, input },
    consistent: total === null || total === input,
    cost: readCost?.(stated) ?? null,
    model,
  }
}
