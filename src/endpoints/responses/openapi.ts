/** The route of responses as OpenAPI describes it. */
import { callOperation } from '../describe-call.ts'

export const responsesOperation = callOperation(
  {
    summary: 'A response',
    description:
      "OpenAI's request, response, events and errors. A provider that speaks Responses gets the request as it was sent; every other model gets a chat completion that asks the same, and what it can't honour is refused by name. Nothing is kept between calls: `previous_response_id`, `conversation`, `prompt`, `background` and references to items are refused, `store` is answered with false. The usage in the event that ends a stream, and in a whole response, states in `cost` the dollars charged.",
    response: "OpenAI's response, or a stream of its events.",
  },
  { input: { oneOf: [{ type: 'string' }, { type: 'array', items: { type: 'object' } }] } },
)
