/**
 * The primary: starts the workers, replaces those that end unasked, counts for all of them, and drains them together. It serves
 * nobody itself, so that little can end it; where it is killed, workers serve what runs to its end and go.
 */
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import type { RateWindows } from '../admission/rate-windows.ts'
import type { Log } from '../observe/log.ts'
import type { PrintedMetrics } from '../observe/metrics.ts'
import type { Spared } from '../routing/spared-news.ts'
import type { WorkerTask } from './messages.ts'
import { createPlaces, type Places } from './places.ts'
import { createRestarts, ENDS_MAX, type Restarts } from './restarts.ts'
import { createMetricsSum } from './sum-metrics.ts'
import { startWorker, type WorkerEnd, type WorkerHost, type WorkerProcess } from './worker-process.ts'

export interface WorkersOptions {
  task: Omit<WorkerTask, 'number'>
  /** 0: any that is free. */
  port: number
  /** Counts for all of them. */
  windows: RateWindows
  /** To processes of other primaries. */
  tellSpared(news: Spared): void
  /** How long workers may take to go down. */
  drainMs: number
  log: Log
}

export interface RunningWorkers {
  port: number
  pids(): number[]
  /** A process of another primary spares a deployment. */
  hearSpared(news: Spared): void
  /** Resolves where no worker can be kept running: with why. */
  failed: Promise<string>
  /** Drains all. @returns whether each of them went in order. */
  stop(): Promise<boolean>
  kill(): void
}

interface Slot {
  number: number
  worker: WorkerProcess
  startedAt: number
  restarts: Restarts
}

/** Resolves when all of them serve. @throws {WorkerError} what one says that can't; {Error} of `listen` where the port is taken. */
export async function runWorkers(options: WorkersOptions): Promise<RunningWorkers> {
  const { task, log, windows } = options
  const places = createPlaces()
  const failed = Promise.withResolvers<string>()
  const metrics = createMetricsSum(() => slots.filter(({ worker }) => worker.serves).length)
  const printMetrics = async () => metrics.print(await Promise.all(slots.map(({ worker }) => worker.readMetrics())))
  const spread = (news: Spared, from: number | null) => {
    for (const { number, worker } of slots) if (number !== from) worker.tellSpared(news)
  }
  const spared = (worker: number, news: Spared) => {
    spread(news, worker)
    options.tellSpared(news)
  }
  const host: WorkerHost = { ...createHost({ windows, places, printMetrics }), spared }
  const start = (number: number) => startWorker({ ...task, number }, host)
  const numbers = Array.from({ length: task.workers }, (_, index) => index + 1)
  const slots: Slot[] = numbers.map((number) => newSlot(number, start(number)))
  const stopping = new AbortController()

  const kill = () => {
    for (const { worker } of slots) worker.kill()
  }
  const port = await serve(slots, options).catch((error: unknown) => {
    kill()
    throw error
  })
  for (const slot of slots) void keep(slot)

  /** Replaces the worker of a slot whenever it ends. */
  async function keep(slot: Slot): Promise<void> {
    for (;;) {
      const { worker } = slot
      const end = await worker.ended
      places.forget(worker.number)
      await metrics.keep(worker.lastMetrics)
      if (stopping.signal.aborted) return
      const pauseMs = slot.restarts.ended(performance.now() - slot.startedAt)
      log.warn({ ended: worker.number, pid: worker.pid, ...describe(end), again_in_ms: pauseMs }, 'a worker ended')
      if (slot.restarts.failures >= ENDS_MAX && !slots.some((other) => other.worker.serves)) {
        failed.resolve(
          `worker ${worker.number} ended ${slot.restarts.failures} times in a row, and no other serves: ${reasonOf(end)}`,
        )
        return
      }
      await pause(pauseMs, undefined, { signal: stopping.signal }).catch(() => {})
      if (stopping.signal.aborted) return
      replace(slot)
    }
  }

  function replace(slot: Slot): void {
    metrics.restarted()
    slot.worker = start(slot.number)
    slot.startedAt = performance.now()
    const { worker } = slot
    log.info({ starting: worker.number, pid: worker.pid }, 'a worker starts in the place of one that ended')
    // Where it can't serve it ends, and that is heard of.
    const serving = worker.prepared.then(() => worker.listen(port))
    serving.then(
      () => log.info({ serves: worker.number, pid: worker.pid }, 'a worker serves in the place of one that ended'),
      () => {},
    )
  }

  return {
    port,
    pids: () => slots.map(({ worker }) => worker.pid),
    hearSpared: (news) => spread(news, null),
    failed: failed.promise,
    async stop() {
      stopping.abort()
      const late = setTimeout(kill, options.drainMs)
      const running = slots.map(({ worker }) => worker).filter(({ isRunning }) => isRunning)
      for (const worker of running) worker.drain()
      const ends = await Promise.all(running.map(({ ended }) => ended))
      clearTimeout(late)
      return ends.every(({ code }) => code === 0)
    },
    kill,
  }
}

interface Counters {
  windows: RateWindows
  places: Places
  printMetrics: () => Promise<PrintedMetrics>
}

/** What workers ask. */
function createHost({ windows, places, printMetrics }: Counters): Pick<WorkerHost, 'answer' | 'give'> {
  return {
    async answer(worker, ask) {
      if (ask.what === 'add') return windows.add(ask.name, ask.points)
      if (ask.what === 'note') return windows.note(ask.name, ask.points)
      if (ask.what === 'look') return windows.look(ask.name)
      if (ask.what === 'take') return { full: places.take(worker, ask.places) }
      return printMetrics()
    },
    give: (worker, names) => places.give(worker, names),
  }
}

function newSlot(number: number, worker: WorkerProcess): Slot {
  return { number, worker, startedAt: performance.now(), restarts: createRestarts() }
}

/** All are ready before one listens: callers find all of them or none. */
async function serve(slots: readonly Slot[], { task, port }: WorkersOptions): Promise<number> {
  await Promise.all(slots.map(({ worker }) => worker.prepared))
  const taken = await takePort(task.host, port)
  await Promise.all(slots.map(({ worker }) => worker.listen(taken)))
  return taken
}

/**
 * Workers share the port, and would share it with another Tollgate that does too. Nobody else may have it: the system tells whoever
 * asks to have it alone.
 */
async function takePort(host: string, port: number): Promise<number> {
  const server = createServer().listen(port, host)
  await once(server, 'listening')
  const { port: taken } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return taken
}

function describe({ code, signal, error }: WorkerEnd): object {
  return {
    ...(signal === null ? { exit_code: code } : { signal }),
    ...(error === null ? {} : { error: error.message }),
  }
}

function reasonOf({ code, signal, error }: WorkerEnd): string {
  return error?.message ?? (signal === null ? `exit code ${code}` : `ended by ${signal}`)
}
