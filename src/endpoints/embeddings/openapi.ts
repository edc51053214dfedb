/** The route of embeddings as OpenAPI describes it. */
import { openBody, operationOf } from '../describe-call.ts'
import { INPUTS_MAX } from './read-request.ts'

const text = { type: 'string', minLength: 1 }
const tokens = { type: 'array', minItems: 1, items: { type: 'integer', minimum: 0 } }
const listOf = (items: unknown) => ({ type: 'array', minItems: 1, maxItems: INPUTS_MAX, items })

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
      input: { anyOf: [text, listOf(text), tokens, listOf(tokens)] },
      encoding_format: { type: 'string', enum: ['float', 'base64'] },
      dimensions: { type: 'integer', minimum: 1 },
      user: { type: 'string' },
    },
    ['model', 'input'],
  ),
  false,
)
