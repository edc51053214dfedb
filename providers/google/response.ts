/** A complete response of Gemini's as a chat completion. */

import { parseExactJson } from '../exact-json.ts'
import { asObject, parseJson } from '../json.ts'
import type { ProviderError, ProviderResponse, ResponseContext } from '../provider.ts'
import { emptyReading } from '../reading.ts'
import { usageRecord } from '../usage.ts'
import {
  createCallNamer,
  failureText,
  finishReasonOf,
  imageOf,
  logprobsOf,
  NO_CANDIDATES,
  nativeReason,
  readCandidate,
  type Said,
  spokenText,
} from './candidate.ts'
import { readGoogleErrorFrame } from './errors.ts'
import { annotationsOf, collectSources, extraContent, noSources, type Sources, toolUses } from './grounding.ts'
import { bareModel } from './models.ts'
import { textOf } from './parts.ts'
import { coversResponse, isGoogleUsage, readGoogleUsage } from './usage.ts'

type Json = Record<string, unknown>

interface Candidate {
  json: Json
  index: number
  said: Said
  sources: Sources
  finishReason: string
}

export function readGoogleResponse(body: Buffer, context: ResponseContext): ProviderResponse | ProviderError | null {
  const json = asObject(parseJson(body))
  if (json === null) return null
  if (asObject(json.error) !== null) return readGoogleErrorFrame(json)
  const feedback = asObject(json.promptFeedback)
  const blocked = typeof feedback?.blockReason === 'string' ? feedback.blockReason : null
  const { usageMetadata: raw } = json
  const stated = isGoogleUsage(raw) ? readGoogleUsage(raw) : null
  const candidates = readCandidates(json, body)
  if (candidates.length === 0 && blocked === null && stated === null) return null
  const model = typeof json.modelVersion === 'string' && json.modelVersion !== '' ? bareModel(json.modelVersion) : null
  const fees = toolUses(
    candidates.map(({ sources }) => sources),
    model ?? context.model,
  )
  const tier = asObject(raw)?.serviceTier
  const showsText = candidates.some(({ said }) => said.content !== '')
  const choices = candidates.length === 0 ? [refusedChoice(blocked)] : candidates.map((one) => choiceOf(one, context))
  const head = {
    id: typeof json.responseId === 'string' && json.responseId !== '' ? json.responseId : `chatcmpl-${context.callId}`,
    object: 'chat.completion',
    created: context.created,
    model: context.request.model,
    choices,
  }
  const shownText = () => candidates.map(({ said }) => spokenText(said)).join('')
  return {
    reading: {
      ...emptyReading(),
      usage: stated === null ? null : { ...stated.usage, toolFees: fees },
      // Text without a token for it is billed as stated, and somebody should know.
      consistent: stated === null || (stated.consistent && (coversResponse(raw as Json) || !showsText)),
      model,
      serviceTier: typeof tier === 'string' ? tier : null,
    },
    finishReasons: choices.map(({ finish_reason: reason }) => textOf(reason)),
    hasContent: candidates.some(({ said }) => spokenText(said) !== '' || said.images.length > 0),
    outputText: () => (stated === null ? shownText() : ''),
    shownText,
    body(cost, usage, replaces = false) {
      const shown = stated === null || replaces ? usage : usageRecord(stated.usage)
      return Buffer.from(withUsage(JSON.stringify(head), shown, cost))
    },
  }
}

function readCandidates(json: Json, body: Buffer): Candidate[] {
  const list: unknown[] = Array.isArray(json.candidates) ? json.candidates : []
  const exact = body.includes('"functionCall"') ? asObject(parseExactJson(body.toString('utf8'))) : null
  const exactList: unknown[] = Array.isArray(exact?.candidates) ? exact.candidates : []
  return list.flatMap((value, position) => {
    const candidate = asObject(value)
    if (candidate === null) return []
    const said = readCandidate(candidate, exactList[position] ?? null)
    const sources = noSources()
    collectSources(candidate, sources)
    const reason = finishReasonOf(candidate.finishReason, said.calls.length > 0)
    const index = typeof candidate.index === 'number' ? candidate.index : position
    // A response that does not say why it ended did end.
    return [
      {
        json: candidate,
        index,
        said,
        sources,
        finishReason: reason ?? (said.calls.length > 0 ? 'tool_calls' : 'stop'),
      },
    ]
  })
}

function choiceOf({ json, index, said, sources, finishReason }: Candidate, context: ResponseContext): Json {
  const name = createCallNamer(context.callId, index)
  const calls = said.calls.map((call) => {
    const { index: _, ...rest } = name(call)
    return rest
  })
  const annotations = annotationsOf(sources, said.content)
  const extra = extraContent(said.signature, said.others, sources)
  const saysNothing = said.content === '' && calls.length === 0 && said.images.length === 0
  const message = {
    role: 'assistant',
    content: said.content === '' ? null : said.content,
    refusal: saysNothing && json.finishReason !== undefined ? failureText(json.finishReason, json.finishMessage) : null,
    ...(said.reasoning === '' ? {} : { reasoning_content: said.reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
    ...(annotations.length === 0 ? {} : { annotations }),
    ...(said.images.length === 0 ? {} : { images: said.images.map((image, at) => imageOf(image, at)) }),
    ...(extra === null ? {} : { extra_content: extra }),
  }
  return { index, message, logprobs: logprobsOf(json), finish_reason: finishReason, ...nativeReason(json.finishReason) }
}

/** The prompt was blocked, or nothing at all came back. */
function refusedChoice(blocked: string | null): Json {
  return {
    index: 0,
    message: {
      role: 'assistant',
      content: null,
      refusal: blocked === null ? failureText(NO_CANDIDATES, null) : null,
    },
    logprobs: null,
    finish_reason: blocked === null ? 'stop' : 'content_filter',
    ...(blocked === null ? {} : { native_finish_reason: blocked }),
  }
}

/** A JSON object with `usage` as its last member, and our cost as the last of `usage`. */
export function withUsage(head: string, usage: unknown, cost: string | null): string {
  const shown = JSON.stringify(usage)
  const priced = cost === null ? shown : `${shown.slice(0, -1)}${shown === '{}' ? '' : ','}"cost":${cost}}`
  return `${head.slice(0, -1)},"usage":${priced}}`
}
