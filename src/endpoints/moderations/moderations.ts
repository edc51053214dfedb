/** POST /v1/moderations, in OpenAI's dialect. Where it is free its calls cost nothing and leave their rows all the same. */
import { inputTokens } from '../../../providers/usage.ts'
import type { Endpoint } from '../../call/endpoint.ts'
import { errorBody } from '../../http/errors.ts'
import { chatCompletions } from '../chat-completions/chat-completions.ts'
import { flatCall } from '../flat/flat-call.ts'
import { moderationTerms } from './moderation-terms.ts'
import { readModeration } from './read-request.ts'

export const moderations: Endpoint = {
  name: 'moderations',
  serviceType: 'moderation',
  read(body) {
    const request = readModeration(body)
    const call = flatCall(request.flat, (deployment) => moderationTerms(request, deployment))
    return { ...call, text: request.flat.text, includeUsage: false }
  },
  errorBody,
  usageShape(usage) {
    const tokens = inputTokens(usage)
    return { prompt_tokens: tokens, total_tokens: tokens }
  },
  // There are no streams; an error always has this form.
  stream: chatCompletions.stream,
}
