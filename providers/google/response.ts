/** A complete response of Gemini's as a chat completion. */
import type { ProviderError, ProviderResponse, ResponseContext } from '../provider.ts'
import { usageRecord } from '../usage.ts'
import { createCallNamer, failureText, imageOf, logprobsOf, NO_CANDIDATES, nativeReason } from './candidate.ts'
import { annotationsOf, extraContent } from './grounding.ts'
import { textOf } from './parts.ts'
import { type AnsweredCandidate, readAnswer } from './read-answer.ts'

type Json = Record<string, unknown>

export function readGoogleResponse(body: Buffer, context: ResponseContext): ProviderResponse | ProviderError | null {
  const read = readAnswer(body, context.model)
  if (read === null || 'kind' in read) return read
  const { json, candidates, blocked, stated, facts } = read
  const choices = candidates.length === 0 ? [refusedChoice(blocked)] : candidates.map((one) => choiceOf(one, context))
  const head = {
    id: typeof json.responseId === 'string' && json.responseId !== '' ? json.responseId : `chatcmpl-${context.callId}`,
    object: 'chat.completion',
    created: context.created,
    model: context.request.model,
    choices,
  }
  return {
    ...facts,
    finishReasons: choices.map(({ finish_reason: reason }) => textOf(reason)),
    body(cost, usage, replaces = false) {
      const shown = stated === null || replaces ? usage : usageRecord(stated)
      return Buffer.from(withUsage(JSON.stringify(head), shown, cost))
    },
  }
}

function choiceOf({ json, index, said, sources, finishReason }: AnsweredCandidate, context: ResponseContext): Json {
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
