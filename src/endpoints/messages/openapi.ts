/** The route of messages, for OpenAPI. */
import { callOperation, MESSAGES } from '../describe-call.ts'

export const messagesOperation = callOperation(
  {
    summary: 'A message',
    description:
      "Anthropic's request, response, events and errors. Claude gets the request as it was sent, `anthropic-version` and `anthropic-beta` too; every other model gets a chat completion that asks the same, and what only Claude can honour is refused by name. The usage at the end states in `cost` the dollars charged.",
    response: "Anthropic's message, or a stream of its events.",
  },
  { ...MESSAGES, max_tokens: { type: 'integer', minimum: 0 } },
)
