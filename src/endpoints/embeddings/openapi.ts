/** The route of embeddings, for OpenAPI. */
import { openBody, operationOf, textsOrTokens } from '../describe-call.ts'
import { INPUTS_MAX } from './read-request.ts'

export const embeddingsOperation = operationOf(
  {
    summary: 'Embeddings',
    description:
      "OpenAI's request and response: texts or tokens in, a list of numbers for each out, as they are or in base64. Only input is charged: by the tokens that the provider states, else as they are counted here; a token of a list is one. `usage.cost` is the dollars charged. A model for chat is refused, and there are no streams.",
    response: "OpenAI's list of embeddings.",
  },
  openBody(
    {
      model: { type: 'string' },
      input: textsOrTokens(INPUTS_MAX),
      encoding_format: { type: 'string', enum: ['float', 'base64'] },
      dimensions: { type: 'integer', minimum: 1 },
      user: { type: 'string' },
    },
    ['model', 'input'],
  ),
  false,
)
