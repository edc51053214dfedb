/** What a candidate of Gemini's says, whole or as one frame of a stream, in OpenAI's words. */

import { asObject } from '../json.ts'
import { textOf } from './parts.ts'
import { withSignature } from './tool-id.ts'

type Json = Record<string, unknown>

export interface Said {
  content: string
  reasoning: string
  calls: { name: string; args: unknown; id: string | null; signature: string | null }[]
  images: { url: string; signature: string | null }[]
  /** Parts OpenAI's dialect has no word for, as they came: what Google's own tools did. */
  others: Json[]
  /** Of the text. */
  signature: string | null
}

/** `exact` is the same candidate with its numbers as they were written; only a call's arguments are taken from it. */
export function readCandidate(candidate: Json, exact: unknown): Said {
  const said: Said = { content: '', reasoning: '', calls: [], images: [], others: [], signature: null }
  const parts = partsOf(candidate)
  const exactParts = exact === null ? parts : partsOf(asObject(exact) ?? {})
  for (let index = 0; index < parts.length; index += 1) {
    const part = asObject(parts[index])
    if (part !== null) readPart(said, part, asObject(exactParts[index]))
  }
  return said
}

function partsOf(candidate: Json): unknown[] {
  const parts = asObject(candidate.content)?.parts
  return Array.isArray(parts) ? parts : []
}

function readPart(said: Said, part: Json, exact: Json | null): void {
  const signature =
    typeof part.thoughtSignature === 'string' && part.thoughtSignature !== '' ? part.thoughtSignature : null
  if (typeof part.text === 'string' && part.thought === true) said.reasoning += part.text
  else if (typeof part.text === 'string') {
    said.content += part.text
    if (signature !== null) said.signature = signature
  }
  const call = asObject(part.functionCall)
  if (call !== null) {
    const args = asObject(exact?.functionCall)?.args ?? call.args ?? {}
    const id = typeof call.id === 'string' && call.id !== '' ? call.id : null
    said.calls.push({ name: typeof call.name === 'string' ? call.name : '', args, id, signature })
  }
  const media = asObject(part.inlineData)
  if (typeof media?.data === 'string' && part.thought !== true)
    said.images.push({
      url: `data:${textOf(media.mimeType) || 'application/octet-stream'};base64,${media.data}`,
      signature,
    })
  if ('executableCode' in part || 'codeExecutionResult' in part || 'toolCall' in part || 'toolResponse' in part)
    said.others.push(part)
}

/** Tool calls of one choice get ids that no other call of the conversation has, and indexes from 0. */
export function createCallNamer(callId: string, choice: number): (call: Said['calls'][number]) => Json {
  const stem = `call_${callId.replaceAll('-', '').slice(0, 24)}${choice === 0 ? '' : `_${choice}`}`
  const used = new Set<string>()
  let index = 0
  return ({ name, args, id, signature }) => {
    const own = id !== null && /^[A-Za-z0-9_-]{1,64}$/.test(id) && !used.has(id) ? id : `${stem}_${index}`
    used.add(own)
    const call: Json = {
      index,
      id: withSignature(own, signature),
      type: 'function',
      function: { name, arguments: JSON.stringify(args) },
    }
    if (signature !== null) call.extra_content = { google: { thought_signature: signature } }
    index += 1
    return call
  }
}

/** As OpenRouter and others show pictures a model made. */
export function imageOf({ url, signature }: Said['images'][number], index: number): Json {
  return {
    index,
    type: 'image_url',
    image_url: { url },
    ...(signature === null ? {} : { extra_content: { google: { thought_signature: signature } } }),
  }
}

/** Everything a tokenizer would count. */
export function spokenText({ content, reasoning, calls }: Said): string {
  return reasoning + content + calls.map(({ name, args }) => name + JSON.stringify(args)).join('')
}

const FILTERED =
  /^(?:SAFETY|RECITATION|BLOCKLIST|PROHIBITED_CONTENT|SPII|IMAGE_SAFETY|IMAGE_PROHIBITED_CONTENT|IMAGE_RECITATION)$/

/** Null where the candidate has not ended. Gemini ends with STOP whether it called a function or not. */
export function finishReasonOf(native: unknown, hasCalls: boolean): string | null {
  if (typeof native !== 'string' || native === '' || native === 'FINISH_REASON_UNSPECIFIED') return null
  if (native === 'MAX_TOKENS') return 'length'
  if (FILTERED.test(native)) return 'content_filter'
  return hasCalls ? 'tool_calls' : 'stop'
}

/**
 * What the caller is told where a candidate ended in a way OpenAI has no word for (a call that made no sense, `OTHER`) and said
 * nothing: else an empty response would look like a finished one.
 */
export function failureText(native: unknown, message: unknown): string | null {
  if (native === 'STOP' || native === 'MAX_TOKENS' || FILTERED.test(textOf(native))) return null
  const own = typeof message === 'string' && message !== '' ? `: ${message}` : ''
  return `The model gave no answer (${textOf(native).slice(0, 64)})${own}`
}

/** Our own word, where Gemini sent neither a response nor a reason. */
export const NO_CANDIDATES = 'NO_CANDIDATES'

/** Gemini's word where OpenAI's says less. */
export function nativeReason(native: unknown): Json {
  return typeof native === 'string' && native !== 'STOP' && native !== 'MAX_TOKENS'
    ? { native_finish_reason: native }
    : {}
}

/** Log probabilities as OpenAI shows them. */
export function logprobsOf(candidate: Json): Json | null {
  const result = asObject(candidate.logprobsResult)
  if (!Array.isArray(result?.chosenCandidates)) return null
  const tops: unknown[] = Array.isArray(result.topCandidates) ? result.topCandidates : []
  const content = result.chosenCandidates.map((chosen, index) => {
    const candidates = asObject(tops[index])?.candidates
    return { ...tokenOf(chosen), top_logprobs: (Array.isArray(candidates) ? candidates : []).map(tokenOf) }
  })
  return { content, refusal: null }
}

function tokenOf(value: unknown): Json {
  const { token, logProbability } = asObject(value) ?? {}
  const text = typeof token === 'string' ? token : ''
  return {
    token: text,
    logprob: typeof logProbability === 'number' ? logProbability : 0,
    bytes: [...Buffer.from(text)],
  }
}
