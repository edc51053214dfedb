/** The routes of chat completions as OpenAPI describes them. */
import type { RouteConfig } from '@hono/zod-openapi'
import { CREDENTIAL } from '../../api/describe-route.ts'
import { callFailures, callHeaders, callParameters } from '../describe-call.ts'

export const chatCompletionsOperation: Omit<RouteConfig, 'method' | 'path'> = {
  tags: ['Chat completions'],
  summary: 'A chat completion',
  description:
    "OpenAI's request and response. Members that the provider is known to accept are passed on as they are; others, duplicate members and names that differ from a known one in case only are refused by name. `power_level` (eco, balanced, precision) may be in the body or in X-Power-Level. Streams end with `data: [DONE]`; with `stream_options.include_usage` the usage frame carries `usage.cost`, the dollars charged.",
  security: CREDENTIAL,
  parameters: callParameters,
  request: {
    body: {
      required: true,
      content: {
        'application/json': {
          schema: {
            type: 'object',
            required: ['model', 'messages'],
            additionalProperties: true,
            properties: {
              model: { type: 'string' },
              messages: { type: 'array', minItems: 1, items: { type: 'object' } },
              stream: { type: 'boolean' },
            },
          },
        },
      },
    },
  },
  responses: {
    200: {
      description: "OpenAI's chat completion, or a stream of its chunks.",
      headers: callHeaders,
      content: {
        'application/json': { schema: { type: 'object' } },
        'text/event-stream': { schema: { type: 'string' } },
      },
    },
    ...callFailures,
  },
}

export const chatWithMetadataOperation: Omit<RouteConfig, 'method' | 'path'> = {
  ...chatCompletionsOperation,
  summary: 'A chat completion, with what it cost in the response',
  description: `${chatCompletionsOperation.description} A JSON response has \`_metadata\` besides: provider_used, cost_incurred and credits_remaining in credits, transaction_id, power_level, user_tier, using_byok, byok_provider.`,
}
