/** The route that counts tokens as OpenAPI describes it. */
import type { RouteConfig } from '@hono/zod-openapi'
import { messagesOperation } from '../messages/openapi.ts'

const { 402: _, 409: __, ...responses } = messagesOperation.responses

export const countTokensOperation: Omit<RouteConfig, 'method' | 'path'> = {
  ...messagesOperation,
  summary: 'How many tokens a message is',
  description:
    "Anthropic's count_tokens: the tokens of the request, counted here by the model's tokenizer or the one that stands in for it. Nobody is called and nothing is charged.",
  responses: {
    ...responses,
    200: {
      description: 'The tokens of the input.',
      content: {
        'application/json': {
          schema: { type: 'object', required: ['input_tokens'], properties: { input_tokens: { type: 'integer' } } },
        },
      },
    },
  },
}
