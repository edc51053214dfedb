/** What waits, by whom it is for: each takes one in turn, however many the others have. */

export interface Turns<T> {
  readonly size: number
  add(whose: string, one: T): void
  /** The first of whose turn it is; null where nothing waits. */
  take(): T | null
}

export function createTurns<T>(): Turns<T> {
  /** In the order of turns; who took one goes to the end. Each list is read from `at` on, since shift() moves all of a long one. */
  const queues = new Map<string, { list: T[]; at: number }>()
  let size = 0
  return {
    get size() {
      return size
    },
    add(whose, one) {
      const queue = queues.get(whose)
      if (queue === undefined) queues.set(whose, { list: [one], at: 0 })
      else queue.list.push(one)
      size += 1
    },
    take() {
      const [first] = queues
      if (first === undefined) return null
      const [whose, queue] = first
      const one = queue.list[queue.at] as T
      queue.at += 1
      queues.delete(whose)
      if (queue.at < queue.list.length) queues.set(whose, queue)
      size -= 1
      return one
    },
  }
}
