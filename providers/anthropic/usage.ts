/**
 * Claude's usage into disjoint buckets. `input_tokens` leaves out what was read from or written to caches. In a stream the numbers
 * of `message_delta` replace those of `message_start`; they are cumulative and never added. `iterations[]`, where it stands, lists
 * all the work there was (compaction, an advisor, a model that declined), each at its own model, and top-level numbers leave some
 * of it out: then the iterations are the bill. A model that declined before it wrote a token is not billed for that.
 */

import { asObject } from '../json.ts'
import { count } from '../openai-usage.ts'
import { NO_USAGE, type Usage } from '../usage.ts'

type Members = Readonly<Record<string, unknown>>

export interface ClaudeUsage {
  usage: Usage
  consistent: boolean
  /** Tier and place it was served in, by which `tierMultiplier` prices it: `standard`, `standard us`. */
  serviceTier: string | null
  byModel: readonly { model: string; usage: Usage }[] | null
}

/** `model` is the one that served. Null where input or output is not stated, or not a count. */
export function readClaudeUsage(raw: unknown, model: string | null): ClaudeUsage | null {
  const stated = asObject(raw)
  if (stated === null) return null
  const top = readCounts(stated)
  const parts = readIterations(stated.iterations, model)
  if (top === null && parts === null) return null
  const toolFees = readFees(stated.server_tool_use)
  const thought = count(asObject(stated.output_tokens_details)?.thinking_tokens) ?? 0
  const list = parts ?? [{ model, usage: top!.usage }]
  const byModel = mergeByModel(list)
  // Fees and thoughts are only stated for the whole; they go to the model that answered.
  const main = byModel.find((entry) => entry.model === model) ?? byModel[0]!
  main.usage = { ...main.usage, toolFees, reasoning: Math.min(thought, main.usage.output) }
  const usage = byModel.map((entry) => entry.usage).reduce(add)
  const hasIterations = Array.isArray(stated.iterations) && stated.iterations.length > 0
  return {
    usage,
    consistent: (top?.consistent ?? false) && thought <= usage.output && (parts !== null || !hasIterations),
    serviceTier: tierOf(stated),
    byModel: byModel.length > 1 ? byModel.map((entry) => ({ model: entry.model ?? '', usage: entry.usage })) : null,
  }
}

/** The usage of a stream so far: `later` wins where it says something. */
export function laterUsage(before: unknown, later: unknown): Members | null {
  const old = asObject(before)
  const next = asObject(later)
  if (old === null || next === null) return next ?? old
  const said = Object.entries(next).filter(([, value]) => value !== null && value !== undefined)
  return { ...old, ...Object.fromEntries(said) }
}

function readCounts(stated: Members): { usage: Usage; consistent: boolean } | null {
  const input = count(stated.input_tokens)
  const output = count(stated.output_tokens)
  if (input === null || output === null) return null
  const split = asObject(stated.cache_creation)
  const hour = count(split?.ephemeral_1h_input_tokens) ?? 0
  const minutes = count(split?.ephemeral_5m_input_tokens) ?? 0
  const written = count(stated.cache_creation_input_tokens) ?? hour + minutes
  const fits = split === null || hour + minutes === written
  // A total without a matching split: what the split leaves open was written for as long as the rest was.
  const cacheWrite1h = fits || minutes > 0 ? Math.min(hour, written) : hour > 0 ? written : 0
  return {
    usage: {
      ...NO_USAGE,
      input,
      cacheRead: count(stated.cache_read_input_tokens) ?? 0,
      cacheWrite5m: written - cacheWrite1h,
      cacheWrite1h,
      output,
    },
    consistent: fits,
  }
}

interface Part {
  model: string | null
  usage: Usage
}

/** More than any call makes: they are read again with each event of a stream that states usage. */
const ITERATIONS_MAX = 128

/** Null where there are none, or one of them can't be read. */
function readIterations(raw: unknown, model: string | null): Part[] | null {
  if (!Array.isArray(raw) || raw.length === 0 || raw.length > ITERATIONS_MAX) return null
  const fallback = raw.findLastIndex((entry) => asObject(entry)?.type === 'fallback_message')
  const parts: Part[] = []
  for (const [index, entry] of raw.entries()) {
    const stated = asObject(entry)
    const counts = stated === null ? null : readCounts(stated)
    if (stated === null || counts === null) return null
    const declined = index < fallback && counts.usage.output === 0
    if (!declined) parts.push({ model: typeof stated.model === 'string' ? stated.model : model, usage: counts.usage })
  }
  return parts
}

function mergeByModel(parts: readonly Part[]): Part[] {
  const merged = new Map<string | null, Part>()
  for (const part of parts) {
    const same = merged.get(part.model)
    if (same === undefined) merged.set(part.model, { ...part })
    else same.usage = add(same.usage, part.usage)
  }
  return [...merged.values()]
}

function add(a: Usage, b: Usage): Usage {
  return {
    ...NO_USAGE,
    input: a.input + b.input,
    cacheRead: a.cacheRead + b.cacheRead,
    cacheReadAudio: a.cacheReadAudio + b.cacheReadAudio,
    cacheWrite5m: a.cacheWrite5m + b.cacheWrite5m,
    cacheWrite1h: a.cacheWrite1h + b.cacheWrite1h,
    output: a.output + b.output,
    reasoning: a.reasoning + b.reasoning,
    audioInput: a.audioInput + b.audioInput,
    audioOutput: a.audioOutput + b.audioOutput,
    imageOutput: a.imageOutput + b.imageOutput,
    toolFees: { ...a.toolFees, ...b.toolFees },
  }
}

/** Fetching pages is free of fees; searching is not. */
function readFees(raw: unknown): Record<string, number> {
  const searches = count(asObject(raw)?.web_search_requests) ?? 0
  return searches > 0 ? { web_search: searches } : {}
}

function tierOf(stated: Members): string | null {
  const tier = typeof stated.service_tier === 'string' ? stated.service_tier : null
  return stated.inference_geo === 'us' ? `${tier ?? 'standard'} us` : tier
}
