/** The routes that count tokens, for OpenAPI. */
import type { RouteConfig } from '@hono/zod-openapi'
import { messagesOperation } from '../messages/openapi.ts'
import { responsesOperation } from '../responses/openapi.ts'

type Operation = Omit<RouteConfig, 'method' | 'path'>
type Called = typeof messagesOperation | typeof responsesOperation
type Properties = Record<string, { type: 'integer' | 'string' | 'boolean' }>

/** Nobody is called, so nothing is paid for and nothing is repeated. */
function counting(
  called: Called,
  about: Pick<Operation, 'summary' | 'description'>,
  properties: Properties,
): Operation {
  const { 402: _, 409: __, ...responses } = called.responses
  const schema = { type: 'object' as const, required: Object.keys(properties), properties }
  const counted = { description: 'The tokens of the input.', content: { 'application/json': { schema } } }
  return { ...called, ...about, responses: { ...responses, 200: counted } }
}

const HOW =
  "counted here by the model's tokenizer or the one that stands in for it. Nobody is called and nothing is charged."

export const countTokensOperation = counting(
  messagesOperation,
  {
    summary: 'How many tokens a message has',
    description: `Anthropic's count_tokens: the tokens of the request, ${HOW}`,
  },
  { input_tokens: { type: 'integer' } },
)

export const inputTokensOperation = counting(
  responsesOperation,
  {
    summary: 'How many tokens the input of a response has',
    description: `OpenAI's input_tokens: the tokens of the request, ${HOW}`,
  },
  { object: { type: 'string' }, input_tokens: { type: 'integer' } },
)

const asked = {
  type: 'object' as const,
  required: ['model'],
  properties: {
    model: { type: 'string' as const },
    prompt: { type: 'string' as const },
    messages: { type: 'array' as const, items: { type: 'object' as const } },
  },
  additionalProperties: true,
}

export const tokenCounterOperation: Operation = {
  ...counting(
    responsesOperation,
    {
      summary: 'How many tokens a prompt or messages have',
      description: `LiteLLM's token counter: the tokens of a \`prompt\` or of \`messages\`, ${HOW}`,
    },
    {
      total_tokens: { type: 'integer' },
      request_model: { type: 'string' },
      model_used: { type: 'string' },
      tokenizer_type: { type: 'string' },
      error: { type: 'boolean' },
    },
  ),
  request: { body: { required: true, content: { 'application/json': { schema: asked } } } },
}
