/**
 * Where the lines of the log go: a descriptor whose reader may be slow, stopped or gone. Fails open: a line never waits, what
 * nobody reads is kept up to a bound and then left out, and how much was left out is the next line. A log that can't be written
 * costs lines, never a call, and never the end of the process.
 *
 * Not pino's own destination: that retries for ever, throws where a disk is full, and at the end waits for a reader that stopped.
 */
import { writeSync, write as writeTo } from 'node:fs'
import { createLogBacklog } from './log-backlog.ts'

/** About 2 000 calls. */
const BACKLOG_BYTES = 1_048_576
const RETRY_MS = 100

export interface LogOutput {
  write(line: string): void
  /** Lines left out since the start. */
  readonly dropped: number
  /** Resolves once everything is written, and after `patienceMs` in any case. */
  drain(patienceMs: number): Promise<void>
}

export interface LogTarget {
  fd: number
  backlogBytes?: number
  /** Written at once where lines are shorter. Processes that share a pipe write what it takes as a whole: 4 096 (PIPE_BUF). */
  chunkBytes?: number
}

export function createLogOutput({ fd, backlogBytes = BACKLOG_BYTES, chunkBytes }: LogTarget): LogOutput {
  // Opened by Node, a pipe or a terminal stops blocking: else its reader could hold one of the four threads of libuv, and the exit.
  if (fd === 2) void process.stderr
  const backlog = createLogBacklog(chunkBytes)
  let inFlight = false
  let retry: NodeJS.Timeout | undefined
  let dropped = 0
  let told = 0
  let written: (() => void) | null = null

  process.on('exit', writeRest)
  return {
    write(line) {
      const bytes = Buffer.byteLength(line)
      if (backlog.bytes + bytes > backlogBytes) dropped += 1
      else backlog.keep(line, bytes)
      pump()
    },
    get dropped() {
      return dropped
    },
    async drain(patienceMs) {
      if (backlog.bytes === 0) return
      const { promise, resolve } = Promise.withResolvers<void>()
      const late = setTimeout(resolve, patienceMs)
      written = resolve
      await promise
      clearTimeout(late)
      written = null
    },
  }

  function pump(): void {
    if (inFlight || retry !== undefined) return
    tellDropped()
    const chunk = backlog.chunk()
    if (chunk === null) return
    inFlight = true
    writeTo(fd, chunk, (error, bytes) => {
      inFlight = false
      if (error !== null) return pumpLater()
      passed(bytes)
      pump()
    })
  }

  /** A pipe that is full (EAGAIN) is read at some time, a full disk has room again; a reader that is gone costs ten failed writes a second. */
  function pumpLater(): void {
    retry = setTimeout(() => {
      retry = undefined
      pump()
    }, RETRY_MS).unref()
  }

  function passed(bytes: number): void {
    backlog.passed(bytes)
    if (backlog.bytes === 0) written?.()
  }

  /** Once there is room for what follows, so that a reader that stays slow is told twice a backlog, not at each line. */
  function tellDropped(): void {
    if (dropped === told || backlog.bytes > backlogBytes / 2) return
    const line = `${JSON.stringify({
      level: 'warn',
      time: new Date().toISOString(),
      dropped: dropped - told,
      msg: 'lines of the log were left out: their reader was too slow',
    })}\n`
    told = dropped
    backlog.keep(line, Buffer.byteLength(line))
  }

  /** What a crash leaves: as much as is taken at once. What is being written at this moment is written to its end by Node. */
  function writeRest(): void {
    try {
      if (inFlight) backlog.leaveChunk()
      for (;;) {
        const chunk = backlog.chunk()
        if (chunk === null) return
        passed(writeSync(fd, chunk))
      }
    } catch {
      // Nobody reads.
    }
  }
}
