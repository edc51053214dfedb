/** The route of Gemini's methods, for OpenAPI. */
import { z } from '@hono/zod-openapi'
import { errorSchema } from '../../api/describe-route.ts'
import { callFailures, openBody, operationOf } from '../describe-call.ts'
import { googleErrorSchema } from './google-error-schema.ts'

const described = operationOf(
  {
    summary: 'A method of a model, in Gemini’s dialect',
    description:
      "`generateContent`, `streamGenerateContent` (events with `alt=sse`, else one JSON array), `countTokens`, `embedContent`, `batchEmbedContents` and `predict` (images): the method follows the model's name after a colon. Gemini gets the request as it was sent, in one spelling of its members; every other model gets a chat completion that asks the same, and what only Gemini can honour is refused by name. `usageMetadata.cost` is the dollars charged. Errors are in Google's envelope; where the path names no method, in OpenAI's.",
    response: "Gemini's response, or a stream of them.",
  },
  openBody({ contents: {}, content: {}, requests: {} }, []),
)
const failures = { ...callFailures, 501: { description: 'The method is not served here.' } }

export const generateOperation = {
  ...described,
  request: {
    ...described.request,
    params: z.object({
      model: z.string().openapi({ description: 'Model and method: `gemini-2.5-flash:generateContent`.' }),
    }),
  },
  responses: {
    200: described.responses[200]!,
    ...Object.fromEntries(
      Object.entries(failures).map(([status, { description }]) => [
        status,
        { description, content: { 'application/json': { schema: z.union([googleErrorSchema, errorSchema]) } } },
      ]),
    ),
  },
}
