/**
 * Counts tokens where a provider reported none. Small texts are counted on the spot (4 kB take about half a millisecond, the worst
 * 40); larger ones in threads, as many as there are cores, started when first needed. Large texts wait in parts, and organizations
 * take turns: who has much to count waits for itself. Of a text that is too long to be counted, parts are, and the rest is taken to
 * have as many tokens a byte. Fails open to the caller: a count that can't be had rejects, and the caller falls back to its estimate,
 * so a broken thread never keeps a call from being charged.
 */
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { breakBefore, createTokenCounter, type Encoding } from './count-tokens.ts'
import type { CountReply, CountRequest } from './tokenizer-worker.ts'
import { createTurns } from './turns.ts'

export type { Encoding } from './count-tokens.ts'

const INLINE_LENGTH = 4_096
/** UTF-16 units that a thread counts at a time: of prose in 10 ms, of the worst text in a quarter of a second. */
const PART_LENGTH = 65_536
/** Parts of one text that are counted: a mebibyte of it. */
const PARTS_MAX = 16
/** Each thread has its own vocabularies in memory. */
const THREADS_MAX = 8
/** A text on which two threads died is taken to be the cause. */
const ATTEMPTS = 2

export interface Tokenizer {
  /**
   * Tokens of a text, or of several, none of which reaches into the next; of more than a mebibyte by 16 parts of it. @param payer who
   * takes turns with others. @throws {Error} when a thread dies on it, or after `close`.
   */
  count(text: string | readonly string[], encoding: Encoding, payer?: string): Promise<number>
  /** Stops the threads and rejects what is still being counted. */
  close(): Promise<void>
}

interface Job extends CountRequest {
  payer: string
  attempts: number
  resolve(tokens: number): void
  reject(error: Error): void
}

interface Thread {
  worker: Worker
  job: Job | null
}

/** @param processes that share the processors. */
export function createTokenizer(processes = 1): Tokenizer {
  const inline = createTokenCounter()
  const waiting = createTurns<Job>()
  const threads = new Set<Thread>()
  const threadsMax = Math.ceil(Math.min(THREADS_MAX, availableParallelism()) / processes)
  let closed = false

  function countApart(texts: readonly string[], encoding: Encoding, payer: string): Promise<number> {
    return new Promise((resolve, reject) => {
      waiting.add(payer, { texts, encoding, payer, attempts: 0, resolve, reject })
      const idle = [...threads].find(({ job }) => job === null)
      if (idle !== undefined) next(idle)
      else if (threads.size < threadsMax) next(start())
    })
  }

  function next(thread: Thread): void {
    const job = waiting.take()
    thread.job = job
    // A thread at rest must not keep the process alive; one that is counting must.
    if (job === null) {
      thread.worker.unref()
      return
    }
    thread.worker.ref()
    job.attempts++
    thread.worker.postMessage({ texts: job.texts, encoding: job.encoding } satisfies CountRequest)
  }

  function start(): Thread {
    const thread: Thread = { worker: new Worker(new URL('./tokenizer-worker.ts', import.meta.url)), job: null }
    threads.add(thread)
    thread.worker.on('message', (reply: CountReply) => {
      const { job } = thread
      next(thread)
      if ('tokens' in reply) job?.resolve(reply.tokens)
      else job?.reject(new Error(reply.error))
    })
    // 'exit' follows 'error'; without a listener the error would end the process.
    thread.worker.on('error', () => {})
    thread.worker.on('exit', () => lost(thread))
    return thread
  }

  function lost(thread: Thread): void {
    threads.delete(thread)
    const { job } = thread
    if (job === null) return
    if (closed || job.attempts >= ATTEMPTS) {
      job.reject(new Error(closed ? 'the tokenizer is closed' : 'the tokenizer thread died twice on this text'))
    } else waiting.add(job.payer, job)
    if (!closed && waiting.size > 0) next(start())
  }

  return {
    async count(text, encoding, payer = '') {
      if (closed) throw new Error('the tokenizer is closed')
      const texts = typeof text === 'string' ? [text] : text
      const length = lengthOf(texts)
      if (length <= INLINE_LENGTH) return inline.count(texts, encoding)
      const { parts, share } = length <= PARTS_MAX * PART_LENGTH ? wholeOf(texts) : sampleOf(texts.join('\n'))
      const counts = await Promise.all(parts.map((part) => countApart(part, encoding, payer)))
      return Math.round(counts.reduce((sum, tokens) => sum + tokens, 0) / share)
    },
    async close() {
      closed = true
      inline.free()
      for (let job = waiting.take(); job !== null; job = waiting.take()) {
        job.reject(new Error('the tokenizer is closed'))
      }
      await Promise.all([...threads].map(({ worker }) => worker.terminate()))
    },
  }
}

/** What is counted at a time, and which share of all it is. */
interface Parts {
  parts: (readonly string[])[]
  share: number
}

/** All of it: small texts go together, large ones in parts. */
function wholeOf(texts: readonly string[]): Parts {
  const parts: string[][] = [[]]
  let room = PART_LENGTH
  for (const text of texts) {
    for (let start = 0; start < text.length; ) {
      const end = breakBefore(text, start, start + PART_LENGTH)
      const piece = text.slice(start, end)
      if (piece.length > room) {
        parts.push([])
        room = PART_LENGTH
      }
      parts.at(-1)?.push(piece)
      room -= piece.length
      start = end
    }
  }
  return { parts, share: 1 }
}

/** Parts from all over it. */
function sampleOf(text: string): Parts {
  const step = Math.floor(text.length / PARTS_MAX)
  const parts: string[] = []
  for (let start = 0; start < text.length && parts.length < PARTS_MAX; ) {
    parts.push(text.slice(start, breakBefore(text, start, start + PART_LENGTH)))
    start = breakBefore(text, start, start + step)
  }
  const counted = parts.reduce((sum, part) => sum + Buffer.byteLength(part), 0)
  return { parts: parts.map((part) => [part]), share: counted / Buffer.byteLength(text) }
}

function lengthOf(texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + text.length, 0)
}
