/** Serves a message on a provider that doesn't speak Messages: as a chat completion, whose response is translated back. */
import type { MessagesRequest } from '../../../providers/messages.ts'
import { type AskedByChat, askedByChat, type Words } from '../by-chat.ts'
import { toChat } from './translated/to-chat.ts'
import { translateResponse } from './translated/translate-response.ts'
import { translateStream } from './translated/translate-stream.ts'

export function messageByChat({ json, model, cuts }: MessagesRequest, text: Buffer): AskedByChat {
  const words: Words = {
    whole: (response, { callId }) => translateResponse(response, model, callId),
    stream: (reader, { callId }) => translateStream(reader, model, callId),
  }
  return askedByChat({ text, cuts, words }, () => toChat(json))
}
