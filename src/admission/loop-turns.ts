/**
 * Shares the event loop: in one turn of it, strangers together get a few milliseconds, and whoever comes later waits for the next
 * turn. Between two turns everything else goes on: calls that run, the database, providers. Networks take turns, so that one that
 * floods is waited for by itself only. Nothing waits where there is nothing to wait for.
 */

/** Of the loop's turn, for all strangers. A call takes about eight turns from its first byte to its last. */
const SHARE_MS = 1.5
/** Where turns are long, honest callers are many: who comes anew has a part of them, or it would wait for seconds. */
const PART = 0.25
const SHARE_MAX_MS = 25
/** What a task costs beyond the time it runs: promises and writes that it leaves behind. */
const AFTERMATH_MS = 0.1

export interface LoopTurns {
  /** Runs the task, now or when its turn comes. False: it waits. */
  run(network: string, task: () => void): boolean
  /** Tasks that wait. */
  readonly waiting: number
}

export function createLoopTurns(now: () => number): LoopTurns {
  /** In the order in which they are served next. None is empty. */
  const queues = new Map<string, (() => void)[]>()
  let waiting = 0
  let spentMs = 0
  let shareMs = SHARE_MS
  let turnStartMs = 0
  let isScheduled = false

  function work(task: () => void): void {
    const start = now()
    try {
      task()
    } finally {
      spentMs += now() - start + AFTERMATH_MS
    }
  }

  function schedule(): void {
    if (isScheduled) return
    isScheduled = true
    turnStartMs = now()
    setImmediate(turn)
  }

  function turn(): void {
    isScheduled = false
    shareMs = Math.min(SHARE_MAX_MS, Math.max(SHARE_MS, PART * (now() - turnStartMs)))
    spentMs = 0
    if (waiting === 0) return
    schedule()
    while (waiting > 0 && spentMs < shareMs) work(next())
  }

  function next(): () => void {
    const [[network, tasks]] = queues as unknown as [[string, (() => void)[]]]
    queues.delete(network)
    waiting -= 1
    const task = tasks.shift()!
    if (tasks.length > 0) queues.set(network, tasks)
    return task
  }

  return {
    run(network, task) {
      schedule()
      if (waiting === 0 && spentMs < shareMs) {
        work(task)
        return true
      }
      const tasks = queues.get(network)
      if (tasks === undefined) queues.set(network, [task])
      else tasks.push(task)
      waiting += 1
      return false
    },
    get waiting() {
      return waiting
    },
  }
}
