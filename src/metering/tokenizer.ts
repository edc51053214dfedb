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
/** Each has its vocabularies in memory. */
const THREADS_MAX = 8
/** A text that kills a thread twice is the cause. */
const ATTEMPTS = 2

export interface Tokenizer {
  /**
   * Tokens of `text`, special tokens as ordinary text; of one beyond a mebibyte by 16 parts of it. @param payer who takes turns with
   * others. @throws {Error} when a thread dies on it, or after `close`.
   */
  count(text: string, encoding: Encoding, payer?: string): Promise<number>
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

export function createTokenizer(): Tokenizer {
  const inline = createTokenCounter()
  const waiting = createTurns<Job>()
  const threads = new Set<Thread>()
  const threadsMax = Math.min(THREADS_MAX, availableParallelism())
  let closed = false

  function countApart(text: string, encoding: Encoding, payer: string): Promise<number> {
    return new Promise((resolve, reject) => {
      waiting.add(payer, { text, encoding, payer, attempts: 0, resolve, reject })
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
    thread.worker.postMessage({ text: job.text, encoding: job.encoding } satisfies CountRequest)
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
      if (text.length <= INLINE_LENGTH) return inline.count(text, encoding)
      const { parts, share } = partsOf(text)
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

/** The parts to count, and which share of the bytes they are. */
function partsOf(text: string): { parts: string[]; share: number } {
  const isWhole = text.length <= PARTS_MAX * PART_LENGTH
  const step = isWhole ? PART_LENGTH : Math.floor(text.length / PARTS_MAX)
  const parts: string[] = []
  for (let start = 0; start < text.length && (isWhole || parts.length < PARTS_MAX); ) {
    const end = breakBefore(text, start, start + PART_LENGTH)
    parts.push(text.slice(start, end))
    start = isWhole ? end : breakBefore(text, start, start + step)
  }
  if (isWhole) return { parts, share: 1 }
  const counted = parts.reduce((sum, part) => sum + Buffer.byteLength(part), 0)
  return { parts, share: counted / Buffer.byteLength(text) }
}
