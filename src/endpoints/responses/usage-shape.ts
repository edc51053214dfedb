/** Usage in the form of responses: cached tokens are inside the input, reasoning tokens inside the output. */
import { inputTokens, outputTokens, type Usage } from '../../../providers/usage.ts'

export function responseUsage(usage: Usage): Record<string, unknown> {
  const input = inputTokens(usage)
  const output = outputTokens(usage)
  return {
    input_tokens: input,
    input_tokens_details: {
      cached_tokens: usage.cacheRead + usage.cacheReadAudio,
      cache_write_tokens: usage.cacheWrite5m + usage.cacheWrite1h,
    },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: usage.reasoning },
    total_tokens: input + output,
  }
}
