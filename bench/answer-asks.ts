/** The worker's side of start-worker.ts: answers what its parent asks, and ends when the parent is gone, however it went. */

/** Functions of one value, by name: what a worker can be asked. Values must survive structured cloning. */
export type Asks<Worker> = { [Name in keyof Worker]: (value: never) => unknown }

export interface Ask {
  id: number
  name: string
  value: unknown
}

export interface Reply {
  id: number
  answer?: unknown
  /** The stack of what the worker threw. */
  error?: string
}

export function answerAsks<Worker extends Asks<Worker>>(handlers: Worker): void {
  process.on('message', ({ id, name, value }: Ask) => {
    const handler = handlers[name as keyof Worker] as unknown as (value: unknown) => unknown
    Promise.resolve()
      .then(() => handler(value))
      .then(
        (answer) => reply({ id, answer }),
        (error: unknown) => reply({ id, error: error instanceof Error ? (error.stack ?? error.message) : `${error}` }),
      )
  })
  // Ctrl-C reaches every process of the terminal; the parent decides in which order they end.
  process.on('SIGINT', () => {})
  process.on('disconnect', () => process.exit())
}

function reply(message: Reply): void {
  if (process.connected) process.send?.(message)
}
