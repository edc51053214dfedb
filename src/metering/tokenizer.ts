/**
 * Counts tokens where a provider reported none. Small texts are counted on the spot (4 kB take about half a millisecond);
 * larger ones in one worker thread, started when first needed. Fails open to the caller: a count that can't be had rejects,
 * and the caller falls back to its estimate, so a broken thread never keeps a call from being charged.
 */
import { Worker } from 'node:worker_threads'
import { createTokenCounter, type Encoding } from './count-tokens.ts'
import type { CountReply, CountRequest } from './tokenizer-worker.ts'

export type { Encoding } from './count-tokens.ts'

const INLINE_LENGTH = 4_096
/** A text that kills the thread twice is the cause; one that died with it is counted by its successor. */
const ATTEMPTS = 2

export interface Tokenizer {
  /** Tokens of a text or of several, none of which reaches into the next; special tokens as ordinary text. @throws {Error} when the thread dies on it, or after `close`. */
  count(text: string | readonly string[], encoding: Encoding): Promise<number>
  /** Stops the thread and rejects what is still being counted. */
  close(): Promise<void>
}

interface Pending {
  request: CountRequest
  attempts: number
  resolve(tokens: number): void
  reject(error: Error): void
}

export function createTokenizer(): Tokenizer {
  const inline = createTokenCounter()
  const pending = new Map<number, Pending>()
  let worker: Worker | null = null
  let lastId = 0
  let closed = false

  function send(job: Pending): void {
    worker ??= start()
    // A thread at rest must not keep the process alive; one that is counting must.
    worker.ref()
    job.attempts++
    worker.postMessage(job.request)
  }

  function start(): Worker {
    const started = new Worker(new URL('./tokenizer-worker.ts', import.meta.url))
    started.on('message', (reply: CountReply) => {
      const job = pending.get(reply.id)
      pending.delete(reply.id)
      if (pending.size === 0) started.unref()
      if ('tokens' in reply) job?.resolve(reply.tokens)
      else job?.reject(new Error(reply.error))
    })
    // 'exit' follows 'error'; without a listener the error would end the process.
    started.on('error', () => {})
    started.on('exit', () => lost(started))
    return started
  }

  /** The thread counts in order, so the oldest pending text is the one it died on. The others keep their attempts. */
  function lost(dead: Worker): void {
    if (worker === dead) worker = null
    let oldest = true
    for (const job of [...pending.values()]) {
      if (!oldest) job.attempts--
      oldest = false
      if (!closed && job.attempts < ATTEMPTS) {
        send(job)
        continue
      }
      pending.delete(job.request.id)
      job.reject(new Error(closed ? 'the tokenizer is closed' : 'the tokenizer thread died twice on this text'))
    }
  }

  return {
    async count(text, encoding) {
      if (closed) throw new Error('the tokenizer is closed')
      const texts = typeof text === 'string' ? [text] : text
      const length = texts.reduce((sum, one) => sum + one.length, 0)
      if (length <= INLINE_LENGTH) return inline.count(texts, encoding)
      return new Promise((resolve, reject) => {
        const job = { request: { id: ++lastId, texts, encoding }, attempts: 0, resolve, reject }
        pending.set(job.request.id, job)
        send(job)
      })
    },
    async close() {
      closed = true
      inline.free()
      const running = worker
      worker = null
      if (running !== null) await running.terminate()
    },
  }
}
