/** The side of a worker: it is told what to do, when to listen and when to drain, and learns when its primary is gone. */
import type { MetricNumbers, PrintedMetrics } from '../observe/metrics.ts'
import type { Spared } from '../routing/spared-news.ts'
import { createPrimaryQuestions } from './ask-primary.ts'
import type { Taken, ToPrimary, ToWorker, WorkerTask } from './messages.ts'
import { createSharedWindows } from './shared-windows.ts'
import type { WorkerPart } from './worker-part.ts'

/** A scrape waits for the slowest worker, which waits a second for the database. */
const METRICS_PATIENCE_MS = 3_000

export interface JoinedPrimary {
  task: WorkerTask
  part: WorkerPart
  /** Resolves when the primary says so, or is gone. */
  drain: Promise<'told' | 'primary gone'>
  /** Tells the primary that it listens. */
  listening(): void
  /** Tells the primary that this process can't serve. */
  failed(message: string, exitCode: number): Promise<void>
  /** Tells it what was counted until the end, and lets go of it. */
  leave(): Promise<void>
}

/** Null where this process was not started by a primary. */
export async function joinPrimary(): Promise<JoinedPrimary | null> {
  if (process.send === undefined) return null
  const { promise: told, resolve: tellTask } = Promise.withResolvers<WorkerTask>()
  const { promise: word, resolve: giveWord } = Promise.withResolvers<number>()
  const { promise: drain, resolve: startDrain } = Promise.withResolvers<'told' | 'primary gone'>()
  const questions = createPrimaryQuestions(tell)
  let readMetrics: () => Promise<MetricNumbers> = async () => []
  let hearSpared: (news: Spared) => void = () => {}

  process.on('message', (message: ToWorker) => {
    if (message.say === 'task') tellTask(message.task)
    else if (message.say === 'listen') giveWord(message.port)
    else if (message.say === 'drain') startDrain('told')
    else if (message.say === 'answer') questions.answered(message.id, message.answer)
    else if (message.say === 'spared') hearSpared(message.news)
    else void readMetrics().then((metrics) => tell({ say: 'metrics', id: message.id, metrics }))
  })
  process.on('disconnect', () => {
    questions.forget()
    startDrain('primary gone')
  })
  const task = await told
  const { ask } = questions
  return {
    task,
    part: {
      workers: task.workers,
      port() {
        tell({ say: 'prepared' })
        return word
      },
      windows: createSharedWindows(ask, () => performance.now()),
      places: {
        workers: task.workers,
        take: async (places) => (await ask<Taken>({ what: 'take', places }))?.full ?? null,
        give: (names) => tell({ say: 'give', names }),
      },
      spared: {
        tell: (news) => tell({ say: 'spared', news }),
        hearBy(hear) {
          hearSpared = hear
        },
      },
      metrics: {
        readBy(read) {
          readMetrics = read
        },
        print: () => ask<PrintedMetrics>({ what: 'print metrics' }, METRICS_PATIENCE_MS),
      },
    },
    drain,
    listening: () => tell({ say: 'listening' }),
    failed: (message, exitCode) => tellLast({ say: 'failed', message, exitCode }),
    async leave() {
      await tellLast({ say: 'metrics', id: null, metrics: await readMetrics() })
      if (process.connected) process.disconnect()
    },
  }
}

function tell(message: ToPrimary): void {
  // A primary that is gone between two lines of ours is heard of by 'disconnect'.
  if (process.connected) process.send?.(message, undefined, undefined, () => {})
}

/** Resolves when it is on its way. */
function tellLast(message: ToPrimary): Promise<void> {
  return new Promise((resolve) => {
    if (process.connected) process.send?.(message, undefined, undefined, () => resolve())
    else resolve()
  })
}
