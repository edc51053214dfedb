/** POST /v1/completions, in OpenAI's older dialect: sent as it is where the model completes texts, else as a chat completion. */
import type { CompletionRequest, CompletionsCapability } from '../../../providers/completions.ts'
import type { Provider } from '../../../providers/provider.ts'
import { findProvider } from '../../../providers/registry.ts'
import { usageRecord } from '../../../providers/usage.ts'
import type { Endpoint } from '../../call/endpoint.ts'
import type { Deployment } from '../../config/config.ts'
import { modeOf } from '../../config/mode-of.ts'
import { errorBody } from '../../http/errors.ts'
import { once, termsByChat, translationBy } from '../by-chat.ts'
import { chatCompletions, mentionsUsageQuestion } from '../chat-completions/chat-completions.ts'
import { completionTerms } from './completion-terms.ts'
import { readCompletionRequest } from './read-request.ts'
import { textWords } from './text-completion.ts'
import { toChat } from './to-chat.ts'

export const completions: Endpoint = {
  name: 'completions',
  serviceType: 'llm_inference',
  read(body, sent) {
    return completionCall(readCompletionRequest(body), sent?.text ?? body.text)
  },
  errorBody,
  usageShape: usageRecord,
  stream: chatCompletions.stream,
}

function completionCall(request: CompletionRequest, text: Buffer): ReturnType<Endpoint['read']> {
  const translate = translationBy(once(() => toChat(request)))
  const asked = { text, translate, words: textWords(request.model) }
  return {
    text,
    model: request.model,
    stream: request.stream,
    includeUsage: request.includeUsage,
    powerLevel: request.json.power_level,
    mentionsUsageQuestion: () => mentionsUsageQuestion(request.json),
    remoteMedia: () => null,
    termsOn(deployment) {
      const provider = completes(deployment)
      return provider === null ? termsByChat(asked, deployment) : completionTerms(request, deployment, provider)
    },
  }
}

/** The provider where its model completes texts, else null. */
function completes(deployment: Deployment): (Provider & { completions: CompletionsCapability }) | null {
  if (deployment.mockResponse !== null || modeOf(deployment) !== 'completion') return null
  const provider = findProvider(deployment.provider)
  return provider?.completions === undefined ? null : { ...provider, completions: provider.completions }
}
