/** A complete response of Gemini's: what it says, and what it states, for whoever shows it in a dialect. */
import { parseExactJson } from '../exact-json.ts'
import { asObject, parseJson } from '../json.ts'
import type { ProviderError, ProviderResponse } from '../provider.ts'
import { emptyReading } from '../reading.ts'
import { noteImages, withImages } from '../seen-images.ts'
import type { Usage } from '../usage.ts'
import { finishReasonOf, readCandidate, type Said, spokenText } from './candidate.ts'
import { readGoogleErrorFrame } from './errors.ts'
import { collectSources, noSources, type Sources, toolUses } from './grounding.ts'
import { imageTokens } from './images/shape.ts'
import { bareModel } from './models.ts'
import { coversResponse, isGoogleUsage, readGoogleUsage } from './usage.ts'

type Json = Record<string, unknown>

export interface AnsweredCandidate {
  json: Json
  index: number
  said: Said
  sources: Sources
  finishReason: string
}

export interface Answer {
  json: Json
  candidates: readonly AnsweredCandidate[]
  /** Why the prompt was blocked, where it was. */
  blocked: string | null
  /** The usage that was stated, without the tools' fees. */
  stated: Usage | null
  facts: Pick<ProviderResponse, 'reading' | 'hasContent' | 'outputText' | 'shownText'>
}

/** @param asked the model, where the response names none. Null where the body is neither a response nor an error. */
export function readAnswer(body: Buffer, asked: string): Answer | ProviderError | null {
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
    model ?? asked,
  )
  const tier = asObject(raw)?.serviceTier
  const showsText = candidates.some(({ said }) => said.content !== '')
  const seen = emptyReading()
  noteImages(
    seen,
    candidates.reduce((sum, { said }) => sum + said.images.length, 0),
    imageTokens(model ?? asked),
  )
  const used = stated === null ? null : withImages(stated.usage, seen)
  const shownText = () => candidates.map(({ said }) => spokenText(said)).join('')
  const facts = {
    reading: {
      ...seen,
      usage: used === null ? null : { ...used, toolFees: fees },
      // Text without a token for it is billed as stated, and somebody should know.
      consistent: stated === null || (stated.consistent && (coversResponse(raw as Json) || !showsText)),
      model,
      serviceTier: typeof tier === 'string' ? tier : null,
    },
    hasContent: candidates.some(({ said }) => spokenText(said) !== '' || said.images.length > 0),
    outputText: () => (stated === null ? shownText() : ''),
    shownText,
  }
  return { json, candidates, blocked, stated: used, facts }
}

function readCandidates(json: Json, body: Buffer): AnsweredCandidate[] {
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
    const finishReason = reason ?? (said.calls.length > 0 ? 'tool_calls' : 'stop')
    return [{ json: candidate, index, said, sources, finishReason }]
  })
}
