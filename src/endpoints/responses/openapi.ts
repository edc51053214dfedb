/** The route of responses, for OpenAPI. */
import { callOperation } from '../describe-call.ts'

export const responsesOperation = callOperation(
  {
    summary: 'A response',
    description:
      "OpenAI's request, response, events and errors. A provider that speaks Responses gets the request as it was sent; every other model gets a chat completion that asks the same, and what it can't honour is refused by name. Where the operator keeps responses, `previous_response_id` and references to items stand for what was kept, unless `store` was false; elsewhere they are refused. `conversation`, `prompt` and `background` are refused. The usage in the event that ends a stream, and in a whole response, states in `cost` the dollars charged.",
    response: "OpenAI's response, or a stream of its events.",
  },
  { input: { oneOf: [{ type: 'string' }, { type: 'array', items: { type: 'object' } }] } },
)
