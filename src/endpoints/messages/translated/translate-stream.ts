/** Turns a stream of chat completion chunks into the events of a message. */
import { withCost } from '../../../../providers/anthropic/response.ts'
import type { StreamReader } from '../../../../providers/provider.ts'
import { translateChunks } from '../../chunk-translation.ts'
import { createMessageEvents } from './message-events.ts'

export function translateStream(chat: StreamReader, asked: string, callId: string): StreamReader {
  const events = createMessageEvents(asked, `msg_${callId.replaceAll('-', '')}`)
  return translateChunks(chat, { read: events.read, end: (cost, usage) => events.end(withCost(usage, cost)) })
}
