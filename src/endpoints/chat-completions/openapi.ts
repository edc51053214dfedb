/** The routes of chat completions, for OpenAPI. */
import { callOperation } from '../describe-call.ts'

export const chatCompletionsOperation = callOperation({
  summary: 'A chat completion',
  description:
    "OpenAI's request and response. Members that the provider is known to accept are passed on as they are; others, duplicate members and names that differ from a known one in case only are refused by name. `power_level` (eco, balanced, precision) may be in the body or in X-Power-Level. Streams end with `data: [DONE]`; with `stream_options.include_usage` the usage frame carries `usage.cost`, the dollars charged.",
  response: "OpenAI's chat completion, or a stream of its chunks.",
})

export const chatWithMetadataOperation = {
  ...chatCompletionsOperation,
  summary: 'A chat completion, with what it cost in the response',
  description: `${chatCompletionsOperation.description} A JSON response has \`_metadata\` besides: provider_used, cost_incurred and credits_remaining in credits, transaction_id, power_level, user_tier, using_byok, byok_provider.`,
}
