/** One choice of a stream: what its candidate's frames say, as deltas of OpenAI's. */

import type { ResponseContext } from '../provider.ts'
import {
  createCallNamer,
  failureText,
  finishReasonOf,
  imageOf,
  logprobsOf,
  nativeReason,
  readCandidate,
  type Said,
  spokenText,
} from './candidate.ts'
import { annotationsOf, collectSources, extraContent, noSources, type Sources } from './grounding.ts'

type Json = Record<string, unknown>

/** A chunk's choice; members that go out as they stand are JSON texts. */
export interface Delta {
  delta: string
  logprobs: string
  finishReason: string | null
  /** `,"native_finish_reason":...` or nothing. */
  native: string
}

export interface GoogleChoice {
  readonly index: number
  /** Null until it gave one. */
  readonly finishReason: string | null
  readonly sources: Sources
  /** The deltas of a frame, their text for counting, and how many images are in them. `exact` has its numbers as written. */
  take(candidate: Json, exact: unknown): { deltas: Delta[]; text: string; images: number }
  /** Deltas that end the choice. */
  end(): Delta[]
}

/** Why there is a choice although no candidate came. */
export interface NoCandidate {
  native: string
  filtered: boolean
}

export function createChoice(
  index: number,
  context: ResponseContext,
  instead: NoCandidate | null = null,
): GoogleChoice {
  const sources = noSources()
  const name = createCallNamer(context.callId, index)
  let native: unknown = instead?.native ?? null
  let finishMessage: unknown = null
  let signature: string | null = null
  const others: Json[] = []
  /** Kept where places in it are to be told. */
  const texts: string[] = []
  let opened = false
  let saidAnything = false
  let hasCalls = false
  let images = 0

  function finishReason(): string | null {
    return instead?.filtered === true ? 'content_filter' : finishReasonOf(native, hasCalls)
  }

  function deltaOf(said: Said): string | null {
    const members: string[] = []
    if (said.reasoning !== '') members.push(`"reasoning_content":${JSON.stringify(said.reasoning)}`)
    if (said.content !== '') members.push(`"content":${JSON.stringify(said.content)}`)
    if (said.calls.length > 0) members.push(`"tool_calls":${JSON.stringify(said.calls.map(name))}`)
    if (said.images.length > 0) {
      members.push(`"images":${JSON.stringify(said.images.map((image) => imageOf(image, images++)))}`)
    }
    return members.length === 0 ? null : `{${opening(said.content === '')}${members.join(',')}}`
  }

  /** The first delta says whose words these are. */
  function opening(isWithoutText: boolean): string {
    if (opened) return ''
    opened = true
    return isWithoutText ? '"role":"assistant","content":null,' : '"role":"assistant",'
  }

  return {
    index,
    sources,
    get finishReason() {
      return finishReason()
    },
    take(candidate, exact) {
      const said = readCandidate(candidate, exact)
      collectSources(candidate, sources)
      if (typeof candidate.finishReason === 'string') {
        native = candidate.finishReason
        finishMessage = candidate.finishMessage
      }
      if (said.signature !== null) signature = said.signature
      for (const part of said.others) others.push(part)
      if (said.content !== '') texts.push(said.content)
      if (said.calls.length > 0) hasCalls = true
      saidAnything ||= saysAnything(said)
      const delta = deltaOf(said)
      if (delta === null) return { deltas: [], text: '', images: 0 }
      return { deltas: [saidDelta(delta, candidate)], text: spokenText(said), images: said.images.length }
    },
    end() {
      const text = texts.join('')
      const annotations = annotationsOf(sources, text)
      const extra = extraContent(signature, others, sources)
      const refusal = saidAnything || instead?.filtered === true ? null : failureText(native, finishMessage)
      const last: Json = {
        ...(opened ? {} : { role: 'assistant', content: '' }),
        ...(refusal === null ? {} : { refusal }),
        ...(annotations.length === 0 ? {} : { annotations: annotations.map((one, at) => ({ index: at, ...one })) }),
        ...(extra === null ? {} : { extra_content: extra }),
      }
      const deltas: Delta[] = []
      if (Object.keys(last).length > 0)
        deltas.push({ delta: JSON.stringify(last), logprobs: 'null', finishReason: null, native: '' })
      const own = nativeReason(native).native_finish_reason
      const word = own === undefined ? '' : `,"native_finish_reason":${JSON.stringify(own)}`
      deltas.push({ delta: '{}', logprobs: 'null', finishReason: finishReason() ?? 'stop', native: word })
      return deltas
    },
  }
}

function saysAnything({ content, calls, images }: Said): boolean {
  return content !== '' || calls.length > 0 || images.length > 0
}

function saidDelta(delta: string, candidate: Json): Delta {
  const logprobs = candidate.logprobsResult === undefined ? 'null' : JSON.stringify(logprobsOf(candidate))
  return { delta, logprobs, finishReason: null, native: '' }
}
