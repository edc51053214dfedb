/** POST /v1/embeddings, in OpenAI's dialect, whichever provider serves it. */
import { inputTokens } from '../../../providers/usage.ts'
import type { Endpoint } from '../../call/endpoint.ts'
import { errorBody } from '../../http/errors.ts'
import { chatCompletions } from '../chat-completions/chat-completions.ts'
import { embeddingsTerms } from './embeddings-terms.ts'
import { readEmbeddingsRequest } from './read-request.ts'

export const embeddings: Endpoint = {
  name: 'embeddings',
  serviceType: 'embedding',
  read(body, sent) {
    const text = sent?.text ?? body.text
    const request = readEmbeddingsRequest(body)
    return {
      text,
      model: request.model,
      stream: false,
      includeUsage: false,
      powerLevel: request.json.power_level,
      mentionsUsageQuestion: () => false,
      remoteMedia: () => null,
      termsOn: (deployment) => embeddingsTerms(request, deployment),
    }
  },
  errorBody,
  usageShape(usage) {
    const tokens = inputTokens(usage)
    return { prompt_tokens: tokens, total_tokens: tokens }
  },
  // There are no streams; an error always has this form.
  stream: chatCompletions.stream,
}
