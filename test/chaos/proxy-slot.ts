/**
 * One place where a process of the product runs: always the same data and spool directory, one process after the other. It is
 * started again whenever it ended, as a supervisor would; an end nobody asked for is an accident, and the run fails for it.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, type WriteStream } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Incarnation } from './calls.ts'
import { largestFile } from './spool-files.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const START_AGAIN_MS = 300
const LAST_WORDS = 1_500
/** From SIGTERM to the end: the drain, and the settlements after it. */
const DRAIN_PATIENCE_MS = 60_000

/** A process that takes calls. */
export interface Door {
  url: string
  pid: number
  incarnation: Incarnation
}

export interface SlotOptions {
  index: number
  /** Of its own: holds its data, its spool and its log. */
  folder: string
  databaseUrl: string
  configFile: string
  logLevel: string
  /** Told before SIGKILL is sent. */
  onKill: (incarnation: Incarnation) => void
  onAccident: (what: string) => void
}

export interface ProxySlot {
  readonly door: Door | null
  readonly spool: string
  /** Starts it, and keeps it running. Resolves when it takes calls. */
  up(): Promise<void>
  /** SIGKILL, and after a while a new one. */
  kill(downMs: number): Promise<void>
  /** SIGTERM, and after its end and a while a new one. Resolves to the exit code. */
  drain(downMs: number): Promise<number | null>
  freeze(): void
  thaw(): void
  /** No file of the process can grow beyond the largest its spool has now, until `freeDisk`. */
  fillDisk(): Promise<void>
  freeDisk(): Promise<void>
  /** For good, without a new one. Resolves to the exit code, null where there was no process. */
  down(): Promise<number | null>
  /** For good, at once, whatever state it is in. */
  abandon(): Promise<void>
}

interface Process {
  pid: number
  url: string
  incarnation: Incarnation
  exited: Promise<number | null>
  /** The end of what it wrote to standard error. */
  lastWords(): string
  send(signal: NodeJS.Signals): void
}

export function createSlot(options: SlotOptions): ProxySlot {
  const spool = spoolOf(options.folder)
  const log = createWriteStream(join(options.folder, 'log'), { flags: 'a' })
  /** All that have not ended, also those that are starting or draining. */
  const children = new Set<ChildProcess>()
  let current: Process | null = null
  let wanted = false
  let count = 0

  async function up(): Promise<void> {
    wanted = true
    await mkdir(spool, { recursive: true })
    while (wanted && current === null) {
      count += 1
      const started = await startProcess(options, children, log, `proxy ${options.index} (start ${count})`)
      // It can't start while its database is away.
      if (started === null) await sleep(START_AGAIN_MS)
      else watch(started)
    }
  }

  function watch(process: Process): void {
    current = process
    if (!wanted) process.send('SIGKILL')
    void process.exited.then(async (code) => {
      if (current === process) current = null
      const { name, killedAt, drainedAt } = process.incarnation
      if (killedAt !== null || drainedAt !== null || !wanted) return
      process.incarnation.killedAt = performance.now()
      options.onAccident(`${name} ended by itself, with exit code ${code}:\n${process.lastWords()}`)
      await up()
    })
  }

  async function drain(downMs: number): Promise<number | null> {
    const process = current
    if (process === null) return null
    process.incarnation.drainedAt = performance.now()
    current = null
    process.send('SIGTERM')
    const code = await Promise.race([process.exited, sleep(DRAIN_PATIENCE_MS, 'late' as const, { ref: false })])
    if (code === 'late') {
      options.onAccident(`${process.incarnation.name} did not end within ${DRAIN_PATIENCE_MS} ms of SIGTERM`)
      killNow(process)
      await process.exited
    }
    await sleep(downMs)
    if (wanted) await up()
    return code === 'late' ? null : code
  }

  function killNow(process: Process): void {
    process.incarnation.killedAt = performance.now()
    options.onKill(process.incarnation)
    process.send('SIGKILL')
  }

  return {
    get door() {
      return current
    },
    spool,
    up,
    async kill(downMs) {
      const process = current
      if (process === null) return
      current = null
      killNow(process)
      await process.exited
      await sleep(downMs)
      if (wanted) await up()
    },
    drain,
    freeze() {
      current?.incarnation.stops.push({ from: performance.now(), to: Number.POSITIVE_INFINITY })
      current?.send('SIGSTOP')
    },
    thaw() {
      const stop = current?.incarnation.stops.at(-1)
      current?.send('SIGCONT')
      if (stop !== undefined) stop.to = performance.now()
    },
    async fillDisk() {
      if (current !== null) await limitFiles(current.pid, String(await largestFile(spool)))
    },
    async freeDisk() {
      if (current !== null) await limitFiles(current.pid, 'unlimited')
    },
    async down() {
      wanted = false
      return current === null ? null : drain(0)
    },
    async abandon() {
      wanted = false
      for (const child of children) {
        child.kill('SIGKILL')
        await once(child, 'close')
      }
      log.end()
    },
  }
}

function spoolOf(folder: string): string {
  return join(folder, 'spool')
}

/** Null where it ended before it took calls. */
async function startProcess(
  { index, folder, databaseUrl, configFile, logLevel }: SlotOptions,
  children: Set<ChildProcess>,
  log: WriteStream,
  name: string,
): Promise<Process | null> {
  const { PATH = '', HOME = '', TMPDIR = '/tmp' } = process.env
  const args = [MAIN, 'start', '--host', '127.0.0.1', '--port', '0', '--config', configFile, '--log-level', logLevel]
  // Its output goes through pipes: a full disk is to stop its spool, not what it says of it.
  const child = spawn(process.execPath, [...args, '--data-dir', join(folder, 'data')], {
    cwd: folder,
    env: {
      PATH,
      HOME,
      TMPDIR,
      DATABASE_URL: databaseUrl,
      TOLLGATE_SPOOL_DIR: spoolOf(folder),
      TOLLGATE_MASTER_KEY: 'sk-4f7c1e9b2d6a8053c9e1b7f4a2d8063e5b',
      TOLLGATE_ROOT_KEY: '2Zk0c8xZ1s7uXo4mQ9vYb3TfLhR6eWjK5aNdPgUiVqM=',
      SCRIPTED_API_KEY: 'sk-chaos-upstream',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  children.add(child)
  child.once('close', () => children.delete(child))
  log.write(`--- ${name}, pid ${child.pid}, ${new Date().toISOString()}\n`)
  let words = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(-LAST_WORDS)
    log.write(text)
  })
  // All it wrote has come.
  const exited = once(child, 'close').then(([code]) => code as number | null)
  const url = new Promise<string | null>((resolve) => {
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (output.length < 100_000) output += text
      const found = /^Tollgate \S+ on (http:\/\/\S+)$/m.exec(output)?.[1]
      if (found !== undefined) resolve(found)
    })
    void exited.then(() => resolve(null))
  })
  const found = await url
  if (found === null || child.pid === undefined) return null
  const startedAt = performance.now()
  const incarnation: Incarnation = { name, slot: index, startedAt, killedAt: null, drainedAt: null, stops: [] }
  return {
    pid: child.pid,
    url: found,
    incarnation,
    exited,
    lastWords: () => words,
    send: (signal) => void child.kill(signal),
  }
}

/** Only the soft limit, so that it can be lifted again without being root. A process that is gone has no limit. */
async function limitFiles(pid: number, bytes: string): Promise<void> {
  await promisify(execFile)('prlimit', ['--pid', String(pid), `--fsize=${bytes}:`]).catch(() => {})
}
