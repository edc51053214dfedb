/** What a response says about what was consumed. Its reasoning is inside its output, whoever states it: xAI leaves it out in chats only. */
import { asObject } from '../json.ts'
import type { OpenAiFacts } from '../openai-facts.ts'
import { count, readOpenAiUsage } from '../openai-usage.ts'
import type { Reading } from '../reading.ts'
import type { Usage } from '../usage.ts'
import { usesIn } from './tools.ts'

type Json = Readonly<Record<string, unknown>>

/** @param seen uses of its own tools that its events showed. Null: nothing usable is stated. */
export function readResponseUsage(
  dialect: Pick<OpenAiFacts, 'readCost'>,
  response: Json,
  seen: Readonly<Record<string, number>> = {},
): Pick<Reading, 'usage' | 'consistent' | 'cost'> | null {
  const stated = asObject(response.usage)
  const read = stated === null ? null : readOpenAiUsage(inWordsOfChat(stated))
  if (stated === null || read === null) return null
  const usage = { ...withLongWrites(read.usage, stated), toolFees: toolUses(response, seen) }
  return { usage, consistent: read.consistent, cost: dialect.readCost?.(stated) ?? null }
}

function inWordsOfChat(stated: Json): Json {
  const { input_tokens, input_tokens_details, output_tokens, output_tokens_details, total_tokens } = stated
  return {
    prompt_tokens: input_tokens,
    prompt_tokens_details: input_tokens_details,
    completion_tokens: output_tokens,
    completion_tokens_details: output_tokens_details,
    total_tokens,
  }
}

/** What was written into the cache for longer has the price of what stays longer. */
function withLongWrites(usage: Usage, stated: Json): Usage {
  const written = asObject(asObject(stated.input_tokens_details)?.cache_write_tokens_details)
  const long = Math.min(usage.cacheWrite5m, count(written?.ttl_12h_tokens) ?? 0)
  return long === 0 ? usage : { ...usage, cacheWrite5m: usage.cacheWrite5m - long, cacheWrite1h: long }
}

/** As stated, where it is: some searches are not billed. Else as they are in the output, or were in the events. */
function toolUses(response: Json, seen: Readonly<Record<string, number>>): Record<string, number> {
  const uses = { ...usesIn(Array.isArray(response.output) ? response.output : []) }
  for (const [kind, times] of Object.entries(seen)) uses[kind] = Math.max(uses[kind] ?? 0, times)
  const searches = count(asObject(asObject(response.tool_usage)?.web_search)?.num_requests)
  return searches === null ? uses : { ...uses, web_search: searches }
}
