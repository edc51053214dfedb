/**
 * `usageMetadata` to disjoint buckets. Four addends make its total: prompt, what server-side tools put into the prompt, the response,
 * and the thoughts; cached tokens are inside the prompt. In a stream each frame states them anew, and they may fall: the last counts.
 */

import { asObject } from '../json.ts'
import { count } from '../openai-usage.ts'
import { NO_USAGE, type Usage } from '../usage.ts'

type Json = Readonly<Record<string, unknown>>

export interface GoogleUsage {
  usage: Usage
  /** The parts sum up to the stated total, and no part is larger than its whole. */
  consistent: boolean
}

/**
 * Whether these are numbers to bill by. A count that is left out is 0; one that is no count makes the whole usage a missing one, and so
 * does a prompt that can't be known, since every call has one. Cheap, for every frame says them.
 */
export function isGoogleUsage(raw: unknown): raw is Json {
  const stated = asObject(raw)
  if (stated === null) return false
  const { toolUsePromptTokenCount: read, candidatesTokenCount: answer, thoughtsTokenCount: thoughts } = stated
  return isCountOrNone(read) && isCountOrNone(answer) && isCountOrNone(thoughts) && promptOf(stated) !== null
}

function isCountOrNone(value: unknown): boolean {
  return value === undefined || count(value) !== null
}

/** A prompt left out is what the total leaves for it. */
function promptOf(stated: Json): number | null {
  if (stated.promptTokenCount !== undefined) return count(stated.promptTokenCount)
  const rest = (count(stated.totalTokenCount) ?? 0) - othersOf(stated)
  return rest > 0 ? rest : null
}

function othersOf(stated: Json): number {
  return of(stated.toolUsePromptTokenCount) + of(stated.candidatesTokenCount) + of(stated.thoughtsTokenCount)
}

function of(value: unknown): number {
  return count(value) ?? 0
}

/** Tokens of the response without its thoughts were stated. */
export function coversResponse(stated: Json): boolean {
  return of(stated.candidatesTokenCount) > 0
}

export function readGoogleUsage(stated: Json): GoogleUsage {
  const prompt = promptOf(stated) ?? 0
  const answer = of(stated.candidatesTokenCount)
  const thoughts = of(stated.thoughtsTokenCount)
  const total = count(stated.totalTokenCount)
  const input = inputParts(prompt + of(stated.toolUsePromptTokenCount), stated)
  const output = outputParts(answer, stated.candidatesTokensDetails)
  return {
    usage: {
      ...NO_USAGE,
      input: input.plain,
      cacheRead: input.cached - input.heardInCache,
      cacheReadAudio: input.heardInCache,
      audioInput: input.audio,
      output: output.plain + thoughts,
      reasoning: thoughts,
      audioOutput: output.audio,
      imageOutput: output.image,
    },
    consistent: input.fits && output.fits && (total === null || total === prompt + othersOf(stated)),
  }
}

interface Input {
  plain: number
  cached: number
  heardInCache: number
  audio: number
  fits: boolean
}

/**
 * Sound is in the prompt's details, cached sound in the cache's. Where a cache hit does not say of what, it is taken to be of text
 * as far as there is text.
 */
function inputParts(whole: number, stated: Json): Input {
  const statedCached = count(stated.cachedContentTokenCount) ?? 0
  const cached = Math.min(statedCached, whole)
  const heard = modality(stated.promptTokensDetails, 'AUDIO') + modality(stated.toolUsePromptTokensDetails, 'AUDIO')
  const heardInCache = Array.isArray(stated.cacheTokensDetails)
    ? Math.min(modality(stated.cacheTokensDetails, 'AUDIO'), cached)
    : Math.max(0, cached - (whole - Math.min(heard, whole)))
  const audio = Math.min(Math.max(0, heard - heardInCache), whole - cached)
  return { plain: whole - cached - audio, cached, heardInCache, audio, fits: statedCached <= whole && heard <= whole }
}

function outputParts(whole: number, details: unknown): { plain: number; audio: number; image: number; fits: boolean } {
  const image = Math.min(modality(details, 'IMAGE'), whole)
  const audio = Math.min(modality(details, 'AUDIO'), whole - image)
  const fits = modality(details, 'IMAGE') + modality(details, 'AUDIO') <= whole
  return { plain: whole - image - audio, audio, image, fits }
}

function modality(details: unknown, kind: string): number {
  let sum = 0
  for (const entry of Array.isArray(details) ? details : []) {
    const detail = asObject(entry)
    if (detail?.modality === kind) sum += count(detail.tokenCount) ?? 0
  }
  return sum
}
