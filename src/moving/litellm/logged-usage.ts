/** What a row of LiteLLM's log of spending says was used, in buckets that do not overlap. */
import { readOpenAiUsage } from '../../../providers/openai-usage.ts'
import type { Usage } from '../../../providers/usage.ts'
import type { SourceRow } from './source.ts'
import { type Members, membersIn, numberIn } from './values.ts'

/** Null where it says nothing. Cached and written tokens are inside `prompt_tokens` there, whatever the provider. */
export function loggedUsage(row: SourceRow): Usage | null {
  const metadata = membersIn(row, 'metadata')
  const logged = membersIn(metadata, 'usage_object')
  const stated: Members = { ...membersIn(metadata, 'additional_usage_values'), ...logged }
  const inside = membersIn(stated, 'prompt_tokens_details')
  const written = numberIn(stated, 'cache_creation_input_tokens') ?? numberIn(inside, 'cache_creation_tokens')
  const reading = readOpenAiUsage({
    prompt_tokens: numberIn(logged, 'prompt_tokens') ?? numberIn(row, 'prompt_tokens'),
    completion_tokens: numberIn(logged, 'completion_tokens') ?? numberIn(row, 'completion_tokens'),
    prompt_tokens_details: {
      cached_tokens: numberIn(inside, 'cached_tokens') ?? numberIn(stated, 'cache_read_input_tokens'),
      cache_write_tokens: written,
      audio_tokens: numberIn(inside, 'audio_tokens'),
    },
    completion_tokens_details: membersIn(stated, 'completion_tokens_details'),
  })
  if (reading === null) return null
  const { usage } = reading
  const hour = numberIn(membersIn(inside, 'cache_creation_token_details'), 'ephemeral_1h_input_tokens') ?? 0
  const cacheWrite1h = Math.min(hour, usage.cacheWrite5m)
  const searches = numberIn(membersIn(stated, 'server_tool_use'), 'web_search_requests') ?? 0
  return {
    ...usage,
    cacheWrite5m: usage.cacheWrite5m - cacheWrite1h,
    cacheWrite1h,
    toolFees: searches > 0 ? { web_search: searches } : {},
  }
}

/** The same with all that was cached or written taken as read for the first time. */
export function withoutCache(usage: Usage): Usage {
  const cached = usage.cacheRead + usage.cacheWrite5m + usage.cacheWrite1h
  return { ...usage, input: usage.input + cached, cacheRead: 0, cacheWrite5m: 0, cacheWrite1h: 0 }
}

/** What was cached or written, alone. */
export function onlyCache({ cacheRead, cacheWrite5m, cacheWrite1h, ...usage }: Usage): Usage {
  const none = { input: 0, output: 0, reasoning: 0, audioInput: 0, imageInput: 0, audioOutput: 0, imageOutput: 0 }
  return { ...usage, ...none, toolFees: {}, cacheRead, cacheWrite5m, cacheWrite1h }
}
