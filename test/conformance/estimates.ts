/**
 * Can holds be trusted? Over recordings whose whole request is known, without media and tools of the provider's own, the estimate of
 * the input (as a hold is reckoned) against what was billed.
 */
import { findProvider } from '../../providers/registry.ts'
import { estimateInput } from '../../src/endpoints/chat-completions/estimate-input.ts'
import { dialectOf, modelOf } from './dialects.ts'
import type { Recording } from './recording.ts'
import { chatRequest } from './request.ts'

export interface Estimated {
  name: string
  provider: string
  estimated: number
  billed: number
}

export function estimateInputs(recordings: readonly Recording[]): Estimated[] {
  return recordings.flatMap((recording) => {
    const billed = recording.oracle?.usage?.input_tokens
    if (billed === undefined || billed === 0 || recording.request === null || recording.cutRequest) return []
    const estimated = estimateOf(recording)
    return estimated === null ? [] : [{ name: recording.name, provider: recording.provider, estimated, billed }]
  })
}

/** Null where media or tools make it another matter. */
function estimateOf(recording: Recording): number | null {
  const provider = findProvider(dialectOf(recording.provider).provider)
  const chat = provider?.chat ?? null
  const { request, serverTools } = chatRequest(recording)
  const model = modelOf(recording)
  if (provider === null || chat === null || serverTools.length > 0 || chat.serverTools(request, model).length > 0)
    return null
  const estimate = estimateInput(request, provider.model(model, request), () => MEDIA, chat.unpackId)
  return estimate.media > 0 || estimate.audioInput > 0 || estimate.unbounded.length > 0 ? null : estimate.tokens
}

const MEDIA = { bound: 1, expected: 1 }

export interface EstimateSummary {
  count: number
  /** Of estimates at or above what was billed. */
  covered: number
  /** Estimate by bill. */
  median: number
}

export function summarize(estimates: readonly Estimated[]): EstimateSummary {
  const ratios = estimates.map(({ estimated, billed }) => estimated / billed).sort((a, b) => a - b)
  const middle = ratios.length / 2
  const median = ((ratios[Math.ceil(middle) - 1] ?? 0) + (ratios[Math.floor(middle)] ?? 0)) / 2
  return { count: ratios.length, covered: ratios.filter((ratio) => ratio >= 1).length, median }
}

/** At least the bill in 95 of 100, and at the median not more than half as much again. */
export function isTrusted({ count, covered, median }: EstimateSummary): boolean {
  return count === 0 || (covered * 100 >= count * 95 && median <= 1.5)
}
