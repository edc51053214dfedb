/**
 * Follows PostgreSQL's protocol just closely enough to make a commit ambiguous: the answer to a question is kept back until the
 * server says that it is ready again, outside a transaction and without an error before it. Then the work is committed.
 */

/** What becomes of bytes of the server: passed on as they are, kept back for now, or the connection is cut. */
export type Passed = Buffer | null | 'cut'

export interface CommitWatch {
  connection(): { asked(bytes: Buffer): void; answered(bytes: Buffer): Passed; closed(): void }
  /** Resolves to how often it happened. */
  withhold(statement: string, times: number): Promise<number>
  /** What has not happened will not. */
  stop(): void
}

interface Order {
  statement: Buffer
  times: number
  /** Kept back now, on some connection. */
  running: number
  happened: number
  resolve(happened: number): void
}

export function createCommitWatch(): CommitWatch {
  const orders = new Set<Order>()

  function over(order: Order): void {
    orders.delete(order)
    order.resolve(order.happened)
  }

  function connection(): ReturnType<CommitWatch['connection']> {
    let kept: { order: Order; bytes: Buffer } | null = null
    /** The end of the last piece: a name may be cut in two by the network. */
    let tail: Buffer = Buffer.alloc(0)
    return {
      asked(bytes) {
        if (kept !== null || orders.size === 0) {
          tail = Buffer.alloc(0)
          return
        }
        const text = Buffer.concat([tail, bytes])
        tail = text.subarray(-64)
        for (const order of orders) {
          if (order.happened + order.running >= order.times || !text.includes(order.statement)) continue
          order.running += 1
          kept = { order, bytes: Buffer.alloc(0) }
          tail = Buffer.alloc(0)
          return
        }
      },
      answered(bytes) {
        if (kept === null) return bytes
        const { order } = kept
        const all = Buffer.concat([kept.bytes, bytes])
        const answer = orders.has(order) ? readAnswer(all) : 'failed'
        if (answer === 'unfinished') {
          kept.bytes = all
          return null
        }
        kept = null
        order.running -= 1
        if (answer === 'failed') return all
        order.happened += 1
        if (order.happened >= order.times) over(order)
        return 'cut'
      },
      closed() {
        if (kept !== null) kept.order.running -= 1
        kept = null
      },
    }
  }

  return {
    connection,
    withhold: (statement, times) =>
      new Promise((resolve) => {
        orders.add({ statement: Buffer.from(statement), times, running: 0, happened: 0, resolve })
      }),
    stop() {
      for (const order of orders) over(order)
    },
  }
}

/** From one ready server to the next: each message is a letter, four bytes of length, and the rest. */
function readAnswer(bytes: Buffer): 'committed' | 'failed' | 'unfinished' {
  let failed = false
  for (let at = 0; at + 5 <= bytes.length; ) {
    const kind = String.fromCharCode(bytes[at] ?? 0)
    const next = at + 1 + bytes.readUInt32BE(at + 1)
    if (next > bytes.length) return 'unfinished'
    if (kind === 'E') failed = true
    // A ready server says whether it is idle, or in a transaction that may still be rolled back.
    if (kind === 'Z') return failed || String.fromCharCode(bytes[at + 5] ?? 0) !== 'I' ? 'failed' : 'committed'
    at = next
  }
  return 'unfinished'
}
