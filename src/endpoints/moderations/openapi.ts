/** The route of moderations, for OpenAPI. */
import { openBody, operationOf } from '../describe-call.ts'

export const moderationsOperation = operationOf(
  {
    summary: 'Moderations',
    description:
      "OpenAI's request and response. OpenAI's own models are free: nothing is held or charged, and each call has its row all the same. Without `model`: `omni-moderation-latest`.",
    response: "OpenAI's judgement of each input.",
  },
  openBody({ model: { type: 'string' }, input: {} }, ['input']),
  false,
)
