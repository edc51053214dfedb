/**
 * A part of a benchmark as a process of its own, so that one part's event loop is not billed for another's work. Fails loudly:
 * a worker that ends early rejects everything it was still asked.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Asks, Reply } from './answer-asks.ts'

export interface Worker<Handlers extends Asks<Handlers>> {
  pid: number
  ask<Name extends keyof Handlers & string>(
    name: Name,
    value: Parameters<Handlers[Name]>[0],
  ): Promise<Awaited<ReturnType<Handlers[Name]>>>
  stop(): Promise<void>
}

/** @param file beside this one; it calls answerAsks with `Handlers`. @param nodeFlags for Node itself, such as --cpu-prof. */
export function startWorker<Handlers extends Asks<Handlers>>(file: string, nodeFlags: string[] = []): Worker<Handlers> {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), {
    execArgv: nodeFlags,
    // Amounts are bigint, which JSON can't carry.
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const asked = new Map<number, { resolve: (answer: never) => void; reject: (error: Error) => void }>()
  const exited = once(child, 'exit')
  child.on('message', ({ id, answer, error }: Reply) => {
    const waiting = asked.get(id)
    asked.delete(id)
    if (error === undefined) waiting?.resolve(answer as never)
    else waiting?.reject(new Error(`${file}: ${error}`))
  })
  const fail = (error: Error) => {
    for (const { reject } of asked.values()) reject(error)
    asked.clear()
  }
  child.on('error', fail)
  child.on('exit', (code, signal) => fail(new Error(`${file} ended (${signal ?? `exit code ${code}`})`)))
  let lastId = 0
  return {
    pid: child.pid ?? 0,
    ask(name, value) {
      lastId += 1
      const id = lastId
      return new Promise((resolve, reject) => {
        asked.set(id, { resolve, reject })
        child.send({ id, name, value }, (error) => {
          if (error !== null) reject(error)
        })
      })
    },
    stop: () => stop(child, exited),
  }
}

async function stop(child: ChildProcess, exited: Promise<unknown>): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    if (child.connected) child.disconnect()
    await exited
  }
}
