/** The route of text completions, for OpenAPI. */
import { openBody, operationOf, textsOrTokens } from '../describe-call.ts'
import { CHOICES_MAX } from './read-request.ts'

export const completionsOperation = operationOf(
  {
    summary: 'A text, completed',
    description:
      "OpenAI's older request, response and chunks. A model that completes texts gets the request as it was sent, with a cap of 16 tokens where none is stated; a model for chat is asked by one message, and what only the former can honour (tokens, several prompts, suffix, echo, logprobs, best_of) is refused by name. Each of `n`, or `best_of`, for each prompt is held and charged.",
    response: "OpenAI's text completion, or a stream of its chunks.",
  },
  openBody(
    {
      model: { type: 'string' },
      prompt: textsOrTokens(CHOICES_MAX),
      max_tokens: { type: 'integer', minimum: 0 },
      stream: { type: 'boolean' },
    },
    ['model', 'prompt'],
  ),
)
