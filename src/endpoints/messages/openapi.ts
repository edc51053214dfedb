/** The route of messages as OpenAPI describes it. */
import type { RouteConfig } from '@hono/zod-openapi'
import { CREDENTIAL } from '../../api/describe-route.ts'
import { callFailures, callHeaders, callParameters } from '../describe-call.ts'

export const messagesOperation: Omit<RouteConfig, 'method' | 'path'> = {
  tags: ['Chat completions'],
  summary: 'A message',
  description:
    "Anthropic's request, response, events and errors. Claude gets the request as it was sent, `anthropic-version` and `anthropic-beta` too; every other model gets a chat completion that asks the same, and what only Claude can honour is refused by name. The usage at the end states in `cost` the dollars charged.",
  security: CREDENTIAL,
  parameters: callParameters,
  request: {
    body: {
      required: true,
      content: {
        'application/json': {
          schema: {
            type: 'object',
            required: ['model', 'messages', 'max_tokens'],
            additionalProperties: true,
            properties: {
              model: { type: 'string' },
              messages: { type: 'array', minItems: 1, items: { type: 'object' } },
              max_tokens: { type: 'integer', minimum: 0 },
              stream: { type: 'boolean' },
            },
          },
        },
      },
    },
  },
  responses: {
    200: {
      description: "Anthropic's message, or a stream of its events.",
      headers: callHeaders,
      content: {
        'application/json': { schema: { type: 'object' } },
        'text/event-stream': { schema: { type: 'string' } },
      },
    },
    ...callFailures,
  },
}
