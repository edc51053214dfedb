/** The frames of a stream that passes: what each adds to the usage, to what was shown and to the end. */
import type { FrameProgress } from '../../frame-progress.ts'
import { asObject } from '../../json.ts'
import { changeMembers, objectMembers } from '../../json-members.ts'
import type { Reading } from '../../reading.ts'
import { dataFrame, dataLine, type Verdict } from '../../sse-frames.ts'
import { finishReasonOf, readCandidate, spokenText } from '../candidate.ts'
import { readGoogleErrorFrame } from '../errors.ts'
import { collectSources, noSources, type Sources } from '../grounding.ts'
import { bareModel } from '../models.ts'
import { type GoogleChunk, readGoogleFrame } from '../read-frame.ts'
import type { StreamUsage } from '../stream-usage.ts'
import { coversResponse, isGoogleUsage } from '../usage.ts'
import { nameChanges } from './passed-response.ts'

type Json = Readonly<Record<string, unknown>>

/** As many as Gemini ever makes; an index beyond it is no candidate. */
const CANDIDATES_MAX = 8

export interface PassedCandidate {
  sources: Sources
  hasCalls: boolean
  /** In OpenAI's words; null until it ended. */
  finishReason: string | null
}

export interface PassedProgress extends FrameProgress<string> {
  readonly usage: StreamUsage
  /** Its reading, without the usage that nobody has asked for yet. */
  readonly stated: Reading
  readonly candidates: Map<number, PassedCandidate>
  /** Why the prompt was blocked, where it was. */
  blocked: string | null
  /** The payload of the frame that ends the response, kept back. */
  ending: Buffer | null
}

/** @param drew is told how many images each candidate shows. */
export function createPassedFrames(
  progress: PassedProgress,
  asked: string,
  drew: (images: number) => void,
): (frame: Buffer) => Verdict {
  const { usage, candidates, shown, finishReasons } = progress

  /** @returns whether it says something. */
  function takeCandidates(chunk: Json, exact: Json | null): boolean {
    const list: unknown[] = Array.isArray(chunk.candidates) ? chunk.candidates : []
    const exactList: unknown[] = Array.isArray(exact?.candidates) ? exact.candidates : []
    let says = false
    for (const [position, value] of list.entries()) {
      const candidate = asObject(value)
      const known = candidate === null ? null : candidateAt(candidates, candidate.index ?? 0)
      if (candidate === null || known === null) continue
      const said = readCandidate(candidate, exactList[position] ?? null)
      collectSources(candidate, known.sources)
      known.hasCalls ||= said.calls.length > 0
      known.finishReason = finishReasonOf(candidate.finishReason, known.hasCalls) ?? known.finishReason
      const text = spokenText(said)
      if (text !== '') shown.add(text, Buffer.byteLength(text))
      drew(said.images.length)
      says ||= text !== '' || said.images.length > 0 || said.others.length > 0
    }
    return says
  }

  function take(chunk: Json, exact: Json | null, stated: Json | string | null, covers: boolean): void {
    const { modelVersion, promptFeedback } = chunk
    if (typeof modelVersion === 'string' && modelVersion !== '') progress.stated.model = bareModel(modelVersion)
    const reason = asObject(promptFeedback)?.blockReason
    if (typeof reason === 'string') progress.blocked = reason
    if (takeCandidates(chunk, exact)) progress.frames += 1
    const reasons = [...candidates.values()].flatMap(({ finishReason }) => finishReason ?? [])
    finishReasons.splice(0, finishReasons.length, ...reasons)
    if (stated === null) return
    usage.state(stated)
    progress.isFinal = isEnded(progress)
    if (covers || progress.isFinal) shown.cover()
  }

  function takeChunk({ chunk, exact }: GoogleChunk): boolean {
    const { usageMetadata: raw, error } = chunk
    const stated = isGoogleUsage(raw) ? raw : null
    if (asObject(error) === null) {
      take(chunk, exact, stated, stated !== null && coversResponse(stated))
      return true
    }
    if (stated !== null) usage.state(stated)
    progress.isFinal = stated !== null
    progress.error = readGoogleErrorFrame(chunk)
    return false
  }

  /** What may be the last is kept back until the call is on the books; where more comes, it goes out before that. */
  function passOn(payload: Buffer): Verdict {
    const earlier = progress.ending
    const before = earlier === null ? null : (renamed(earlier, asked) ?? dataFrame(earlier))
    progress.ending = isEnded(progress) ? Buffer.from(payload) : null
    if (progress.ending !== null) return before
    const shown = renamed(payload, asked)
    return before === null ? (shown ?? true) : Buffer.concat([before, shown ?? dataFrame(payload)])
  }

  return (frame) => {
    const read = readGoogleFrame(frame)
    if (read === null || read === 'compatible') return null
    const payload = dataLine(frame)
    if ('plain' in read) {
      take(read.plain.chunk, null, read.plain.usage, read.plain.coversResponse)
      return payload === null ? null : passOn(payload)
    }
    const [first] = read.chunks
    if (payload !== null && first !== undefined) return takeChunk(first) ? passOn(payload) : null
    // The one array a stream is where nobody asked for events, or an event of several lines.
    const out = read.chunks.flatMap((one) => {
      if (progress.error !== null || !takeChunk(one)) return []
      const written = Buffer.from(JSON.stringify(one.exact ?? one.chunk))
      const verdict = passOn(written)
      return verdict instanceof Buffer ? [verdict] : verdict === true ? [dataFrame(written)] : []
    })
    return out.length === 0 ? null : Buffer.concat(out)
  }
}

function candidateAt(candidates: Map<number, PassedCandidate>, index: unknown): PassedCandidate | null {
  if (typeof index !== 'number' || !Number.isInteger(index) || index < 0 || index >= CANDIDATES_MAX) return null
  const known = candidates.get(index)
  if (known !== undefined) return known
  const made = { sources: noSources(), hasCalls: false, finishReason: null }
  candidates.set(index, made)
  return made
}

/** All candidates, at least one, gave a finish reason, or none will come. Text may follow it. */
export function isEnded({ candidates, blocked }: PassedProgress): boolean {
  if (candidates.size === 0) return blocked !== null
  for (const { finishReason } of candidates.values()) if (finishReason === null) return false
  return true
}

/** The frame with the name that was asked for; everything else of it as it came. Null where that is its name. */
function renamed(payload: Buffer, asked: string): Buffer | null {
  const members = objectMembers(payload)
  const changes = nameChanges(payload, members, asked)
  return changes.length === 0 ? null : dataFrame(changeMembers(payload, members, changes))
}
