/** A message on a provider that doesn't speak Messages: asked as a chat completion, and its response translated back. */
import type { MessagesRequest } from '../../../providers/messages.ts'
import { type AskedByChat, once, takesEffort, translationBy } from '../by-chat.ts'
import { toChat } from './translated/to-chat.ts'
import { translateResponse } from './translated/translate-response.ts'
import { translateStream } from './translated/translate-stream.ts'

/** Translated once, however many deployments there are to try; for those that do not reason, once more without the effort. */
export function messageByChat({ text, json, model }: MessagesRequest): AskedByChat {
  const chat = once(() => toChat(json))
  const calm = once(() => {
    const { reasoning_effort: _, ...rest } = chat()
    return rest
  })
  return {
    text,
    translate: translationBy((deployment) =>
      chat().reasoning_effort === undefined || takesEffort(chat(), deployment) ? chat() : calm(),
    ),
    words: {
      whole: (response, { callId }) => translateResponse(response, model, callId),
      stream: (reader, { callId }) => translateStream(reader, model, callId),
    },
  }
}
