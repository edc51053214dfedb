/** POST /v1/completions, in OpenAI's older dialect: natively where a model completes texts, else by a chat completion. */
import type { CompletionRequest, CompletionsCapability } from '../../../providers/completions.ts'
import type { Provider } from '../../../providers/provider.ts'
import { findProvider } from '../../../providers/registry.ts'
import { usageRecord } from '../../../providers/usage.ts'
import type { Endpoint } from '../../call/endpoint.ts'
import type { Deployment } from '../../config/config.ts'
import { modeOf } from '../../config/mode-of.ts'
import { errorBody } from '../../http/errors.ts'
import { parseJsonObject } from '../../http/json-object.ts'
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
    const text = sent?.text ?? body.text
    // Media are cut out of the messages of chat completions; here a text is a text.
    return completionCall(readCompletionRequest(body.cuts === undefined ? body : parseJsonObject(text)), text)
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

/** The provider, where its model completes texts. */
function completes(deployment: Deployment): (Provider & { completions: CompletionsCapability }) | null {
  if (deployment.mockResponse !== null || modeOf(deployment) !== 'completion') return null
  const provider = findProvider(deployment.provider)
  return provider?.completions === undefined ? null : { ...provider, completions: provider.completions }
}
