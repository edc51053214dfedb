/** The route of speech, for OpenAPI. */
import { openBody, operationOf } from '../describe-call.ts'

export const speechOperation = operationOf(
  {
    summary: 'Speech',
    description:
      "OpenAI's request; the sound passes as it comes. Charged by the characters of `input` where the operator prices those, else by tokens: those that the provider states (`stream_format: sse`), or by the length of the sound. What it cost: GET /v1/calls/{call_id}, with the id in the header `x-litellm-call-id`.",
    response: 'The sound, or a stream of events with it.',
  },
  openBody(
    {
      model: { type: 'string' },
      input: { type: 'string', minLength: 1 },
      voice: {},
      instructions: { type: 'string' },
      response_format: { type: 'string', enum: ['mp3', 'opus', 'ogg', 'aac', 'flac', 'wav', 'pcm', 'mulaw'] },
      speed: { type: 'number', minimum: 0.25, maximum: 4 },
      stream_format: { type: 'string', enum: ['audio', 'sse'] },
    },
    ['model', 'input'],
  ),
)
