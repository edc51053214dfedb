/** Usage in Anthropic's form: tokens read from and written to caches are beside the input. */
import type { Usage } from '../../../providers/usage.ts'

export function messageUsage(usage: Usage): Record<string, unknown> {
  const { input, audioInput, cacheRead, cacheReadAudio, cacheWrite5m, cacheWrite1h } = usage
  const { output, audioOutput, imageOutput, toolFees } = usage
  const searches = toolFees.web_search
  return {
    input_tokens: input + audioInput,
    cache_creation_input_tokens: cacheWrite5m + cacheWrite1h,
    cache_read_input_tokens: cacheRead + cacheReadAudio,
    cache_creation: { ephemeral_5m_input_tokens: cacheWrite5m, ephemeral_1h_input_tokens: cacheWrite1h },
    output_tokens: output + audioOutput + imageOutput,
    ...(searches ? { server_tool_use: { web_search_requests: searches } } : {}),
  }
}
