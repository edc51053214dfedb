/** Serves a request of Gemini's dialect on a provider that doesn't speak it: as a chat completion, whose response is translated back. */
import type { GenerateRequest } from '../../../providers/generate.ts'
import { type AskedByChat, askedByChat, type Words } from '../by-chat.ts'
import { toChat } from './translated/to-chat.ts'
import { translateResponse } from './translated/translate-response.ts'
import { translateStream } from './translated/translate-stream.ts'

export function generateByChat({ json, model, stream, cuts }: GenerateRequest, text: Buffer): AskedByChat {
  const words: Words = {
    whole: (response, { callId }) => translateResponse(response, model, callId),
    stream: (reader, { callId }) => translateStream(reader, model, callId),
  }
  return askedByChat({ text, cuts, words }, () => toChat(json, { model, stream }))
}
