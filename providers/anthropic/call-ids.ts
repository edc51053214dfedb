/**
 * Claude's ids for the calls of a conversation, by the caller's. Claude wants each to stand once in the whole conversation and to hold few
 * characters; callers leave them empty, use them twice, or send those of another provider.
 */
import { createHash } from 'node:crypto'
import { bareId } from '../carried-id.ts'

export interface CallIds {
  /** A turn with calls begins. */
  begin(index: number): void
  /** Claude's id for a call by the caller's. */
  ask(id: string): string
  /** For a result: by the caller's id, in order where ids are empty or stand twice. */
  answer(id: string): string
}

interface OpenCall {
  own: string
  claude: string
  isAnswered: boolean
}

export function createCallIds(): CallIds {
  const used = new Set<string>()
  let open: OpenCall[] = []
  /** The same in the order they were made, by the caller's id and by that without what it carries. */
  let byOwn = createQueues()
  let byBare = createQueues()
  let first = 0
  let turn = 0

  /** The first that is not answered; each is passed once, whatever the results are. */
  function firstOpen(): OpenCall | undefined {
    while (open[first]?.isAnswered === true) first += 1
    return open[first]
  }

  return {
    begin(index) {
      turn = index
      open = []
      byOwn = createQueues()
      byBare = createQueues()
      first = 0
    },
    ask(id) {
      const wanted = allowed(bareId(id))
      const claude = wanted === '' || used.has(wanted) ? `call_${turn}_${open.length}` : wanted
      used.add(claude)
      const call = { own: id, claude, isAnswered: false }
      open.push(call)
      byOwn.add(id, call)
      byBare.add(bareId(id), call)
      return claude
    },
    answer(id) {
      const found = byOwn.next(id) ?? byBare.next(bareId(id)) ?? (id === '' ? firstOpen() : undefined)
      if (found !== undefined) found.isAnswered = true
      return found?.claude ?? (allowed(bareId(id)) || 'call_unknown')
    },
  }
}

/** Calls by a name, each list in its order. */
function createQueues(): { add(name: string, call: OpenCall): void; next(name: string): OpenCall | undefined } {
  const queues = new Map<string, { calls: OpenCall[]; at: number }>()
  return {
    add(name, call) {
      const queue = queues.get(name)
      if (queue === undefined) queues.set(name, { calls: [call], at: 0 })
      else queue.calls.push(call)
    },
    /** The first that is not answered yet. */
    next(name) {
      const queue = queues.get(name)
      if (queue === undefined) return undefined
      while (queue.calls[queue.at]?.isAnswered === true) queue.at += 1
      return queue.calls[queue.at]
    },
  }
}

/** Claude takes letters, digits, `_` and `-`; other ids are replaced by one that is the same every time. */
function allowed(id: string): string {
  if (/^[a-zA-Z0-9_-]*$/.test(id)) return id
  return `call_${createHash('sha256').update(id).digest('hex').slice(0, 24)}`
}
