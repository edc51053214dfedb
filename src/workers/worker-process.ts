/** One worker, as its primary sees it: a process, what it says, and what it is told. */
import { fork } from 'node:child_process'
import type { MetricNumbers } from '../observe/metrics.ts'
import type { Spared } from '../routing/spared-news.ts'
import type { Answer, Ask, ToPrimary, ToWorker, WorkerTask } from './messages.ts'

/** A worker waits a second for the database. */
const METRICS_PATIENCE_MS = 2_000

export class WorkerError extends Error {
  readonly exitCode: number
  constructor(message: string, exitCode: number) {
    super(message)
    this.exitCode = exitCode
  }
}

export interface WorkerProcess {
  readonly number: number
  readonly pid: number
  readonly isRunning: boolean
  /** It listens, and is not draining. */
  readonly serves: boolean
  /** What it counted, as it said last. */
  readonly lastMetrics: MetricNumbers
  /** Rejects with a WorkerError where it can't serve, or ends before. */
  readonly prepared: Promise<void>
  /** How it ended. */
  readonly ended: Promise<WorkerEnd>
  /** Rejects as `prepared` does. */
  listen(port: number): Promise<void>
  /** What it counts now; what it said last where it does not respond in time. */
  readMetrics(): Promise<MetricNumbers>
  /** Another process spares a deployment. */
  tellSpared(news: Spared): void
  drain(): void
  kill(): void
}

export interface WorkerEnd {
  code: number | null
  signal: string | null
  /** What it said itself; null where it said nothing. */
  error: WorkerError | null
}

export interface WorkerHost {
  answer(worker: number, ask: Ask): Promise<Answer>
  give(worker: number, names: readonly string[]): void
  /** It spares a deployment. */
  spared(worker: number, news: Spared): void
}

export function startWorker(task: WorkerTask, host: WorkerHost): WorkerProcess {
  const { number } = task
  const child = fork(process.argv[1] ?? '', ['worker'], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const prepared = Promise.withResolvers<void>()
  const listening = Promise.withResolvers<void>()
  const ended = Promise.withResolvers<WorkerEnd>()
  let error: WorkerError | null = null
  let serves = false
  let isRunning = true

  const say = (message: ToWorker) => {
    // One that is gone is heard of by 'exit'.
    if (child.connected) child.send(message, () => {})
  }
  const numbers = createNumbers((id) => say({ say: 'read metrics', id }))
  // Each is looked at by whoever needs it; none may end the primary.
  for (const { promise } of [prepared, listening]) promise.catch(() => {})

  function hear(message: ToPrimary): void {
    if (message.say === 'ask') {
      const { id, ask } = message
      void host.answer(number, ask).then((answer) => say({ say: 'answer', id, answer }))
    } else if (message.say === 'give') host.give(number, message.names)
    else if (message.say === 'spared') host.spared(number, message.news)
    else if (message.say === 'metrics') numbers.heard(message)
    else if (message.say === 'prepared') prepared.resolve()
    else if (message.say === 'listening') {
      serves = true
      listening.resolve()
    } else error = new WorkerError(message.message, message.exitCode)
  }

  function hearEnd(code: number | null, signal: string | null): void {
    serves = false
    isRunning = false
    const why =
      error ?? new WorkerError(`worker ${number} ended before it served (${signal ?? `exit code ${code}`})`, 1)
    prepared.reject(why)
    listening.reject(why)
    numbers.giveUp()
    ended.resolve({ code, signal, error })
  }

  child.on('message', hear)
  child.once('exit', hearEnd)
  child.once('error', (cause) => {
    error ??= new WorkerError(`worker ${number} can't be started: ${cause.message}`, 1)
    if (child.pid === undefined) hearEnd(null, null)
  })
  say({ say: 'task', task })
  return {
    number,
    pid: child.pid ?? 0,
    get isRunning() {
      return isRunning
    },
    get serves() {
      return serves
    },
    get lastMetrics() {
      return numbers.last
    },
    prepared: prepared.promise,
    ended: ended.promise,
    listen(port) {
      say({ say: 'listen', port })
      return listening.promise
    },
    readMetrics: () => (serves ? numbers.ask() : Promise.resolve(numbers.last)),
    tellSpared: (news) => say({ say: 'spared', news }),
    drain() {
      serves = false
      say({ say: 'drain' })
    },
    kill: () => void child.kill('SIGKILL'),
  }
}

/** What a worker counts, as it says when it is asked, and when it goes. */
function createNumbers(ask: (id: number) => void) {
  const asked = new Map<number, () => void>()
  let last: MetricNumbers = []
  let latest = 0
  return {
    get last() {
      return last
    },
    ask(): Promise<MetricNumbers> {
      latest += 1
      const id = latest
      return new Promise((resolve) => {
        const answer = () => {
          clearTimeout(late)
          asked.delete(id)
          resolve(last)
        }
        const late = setTimeout(answer, METRICS_PATIENCE_MS)
        asked.set(id, answer)
        ask(id)
      })
    },
    heard({ id, metrics }: { id: number | null; metrics: MetricNumbers }) {
      last = metrics
      if (id !== null) asked.get(id)?.()
    },
    /** Nothing more will be said. */
    giveUp() {
      for (const answer of [...asked.values()]) answer()
    },
  }
}
