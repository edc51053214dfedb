/** A thread that counts large texts, one at a time, so that a long response of one caller does not hold up the event loop of all. */
import { parentPort } from 'node:worker_threads'
import { createTokenCounter, type Encoding } from './count-tokens.ts'

export interface CountRequest {
  texts: readonly string[]
  encoding: Encoding
}

export type CountReply = { tokens: number } | { error: string }

const counter = createTokenCounter()
const port = parentPort
if (port === null) throw new Error('tokenizer-worker.ts runs as a worker thread')

port.on('message', (request: CountRequest) => port.postMessage(answer(request)))

function answer({ texts, encoding }: CountRequest): CountReply {
  try {
    return { tokens: counter.count(texts, encoding) }
  } catch (error) {
    return { error: String(error) }
  }
}
