/** Where a response has its facts from: Gemini's grounding and citations as OpenAI's annotations, and how often it searched. */

import { asObject } from '../json.ts'
import { generation } from './models.ts'

type Json = Record<string, unknown>

/** What the frames of a candidate said about its sources. Later frames repeat and complete earlier ones. */
export interface Sources {
  grounding: Json | null
  citations: unknown[]
  queries: Set<string>
}

export function noSources(): Sources {
  return { grounding: null, citations: [], queries: new Set() }
}

export function collectSources(candidate: Json, sources: Sources): void {
  const grounding = asObject(candidate.groundingMetadata)
  if (grounding !== null && Object.keys(grounding).length > 0) {
    sources.grounding = Object.assign(sources.grounding ?? {}, grounding)
    for (const query of Array.isArray(grounding.webSearchQueries) ? grounding.webSearchQueries : []) {
      if (typeof query === 'string' && query !== '') sources.queries.add(query)
    }
  }
  const citations = asObject(candidate.citationMetadata)?.citationSources
  if (Array.isArray(citations)) sources.citations = citations
}

/** Uses to be billed by kind: a search is billed by the query from generation 3 on, before that by the prompt that used it. */
export function toolUses(all: Iterable<Sources>, model: string): Record<string, number> {
  let queries = 0
  let searched = false
  let mapped = false
  for (const { grounding, queries: own } of all) {
    queries += own.size
    const chunks: unknown[] = Array.isArray(grounding?.groundingChunks) ? grounding.groundingChunks : []
    searched ||= own.size > 0 || chunks.some((chunk) => asObject(chunk)?.web !== undefined)
    mapped ||= chunks.some((chunk) => asObject(chunk)?.maps !== undefined)
  }
  return {
    ...(searched ? { web_search: generation(model) >= 3 ? Math.max(1, queries) : 1 } : {}),
    ...(mapped ? { google_maps: 1 } : {}),
  }
}

/** Places in a text are bytes of its UTF-8 there, and characters here. */
export function annotationsOf({ grounding, citations }: Sources, text: string): Json[] {
  const place = createPlaces(Buffer.from(text))
  const chunks: unknown[] = Array.isArray(grounding?.groundingChunks) ? grounding.groundingChunks : []
  const supports: unknown[] = Array.isArray(grounding?.groundingSupports) ? grounding.groundingSupports : []
  const found: Json[] = []
  const add = (source: Json | null, start: number, end: number) => {
    if (typeof source?.uri !== 'string') return
    const title = typeof source.title === 'string' ? source.title : ''
    found.push({ type: 'url_citation', url_citation: { url: source.uri, title, start_index: start, end_index: end } })
  }
  for (const value of supports) {
    const support = asObject(value)
    const segment = asObject(support?.segment)
    const indices: unknown[] = Array.isArray(support?.groundingChunkIndices) ? support.groundingChunkIndices : []
    for (const index of indices)
      add(
        sourceOf(typeof index === 'number' ? chunks[index] : null),
        place(segment?.startIndex),
        place(segment?.endIndex),
      )
  }
  if (supports.length === 0) for (const chunk of chunks) add(sourceOf(chunk), 0, text.length)
  for (const value of citations) {
    const citation = asObject(value)
    add(citation, place(citation?.startIndex), place(citation?.endIndex))
  }
  return found
}

/** Characters in so many bytes of a text. Each question reads a kilobyte at most, for there may be as many as there are bytes. */
function createPlaces(bytes: Buffer): (offset: unknown) => number {
  const marks: { at: number; characters: number }[] = [{ at: 0, characters: 0 }]
  return (offset) => {
    if (typeof offset !== 'number' || !(offset > 0)) return 0
    const end = Math.min(Math.trunc(offset), bytes.length)
    while (marks.at(-1)!.at + PLACE_STEP <= end) marks.push(nextMark(bytes, marks.at(-1)!))
    // A mark moves back to the beginning of a character, by three bytes at most.
    let index = Math.min(marks.length - 1, Math.floor(end / (PLACE_STEP - 3)))
    while (marks[index]!.at > end) index -= 1
    const { at, characters } = marks[index]!
    return characters + bytes.toString('utf8', at, end).length
  }
}

const PLACE_STEP = 1024

function nextMark(bytes: Buffer, { at, characters }: { at: number; characters: number }) {
  let next = at + PLACE_STEP
  while (next < bytes.length && (bytes[next]! & 0xc0) === 0x80) next -= 1
  return { at: next, characters: characters + bytes.toString('utf8', at, next).length }
}

function sourceOf(value: unknown): Json | null {
  const chunk = asObject(value)
  return asObject(chunk?.web) ?? asObject(chunk?.maps) ?? asObject(chunk?.retrievedContext)
}

/** `extra_content` of a message: what OpenAI has no word for, and what wants to come back with the conversation. */
export function extraContent(signature: string | null, others: readonly Json[], { grounding }: Sources): Json | null {
  const google: Json = {
    ...(signature === null ? {} : { thought_signature: signature }),
    // Clients that put a stream's deltas together want an index in every list.
    ...(others.length === 0 ? {} : { parts: others.map((part, index) => ({ index, part })) }),
    ...(grounding === null ? {} : { grounding_metadata: grounding }),
  }
  return Object.keys(google).length === 0 ? null : { google }
}
