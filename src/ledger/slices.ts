/**
 * Limits that calls of all organizations share, leased to this process in slices (sql/functions/slices.sql): one for each of its shards, so that
 * no row is everybody's lock. A hold touches its slice like every other limit. A slice that leaves less than a call wants is filled before the
 * call is asked for again: the one extra round trip, at most a few dozen for a whole limit until it nears its end.
 *
 * Fails closed: what can't be filled is not granted.
 */
import { creditsToMicro, formatDecimal } from '../metering/money.ts'
import type { BatchConnection } from './batch-connection.ts'
import { classifyError } from './batch-error.ts'
import type { AskedHold, HoldAnswer, LimitedBy } from './hold-batch.ts'
import type { Limit } from './ledger.ts'
import { shardOf } from './shards.ts'

/** Calls of other processes may take what a slice was filled with at the end of a limit, but not for ever. */
const TRIES = 20

/** Of all calls of the product. */
export interface SharedLimit {
  kind: 'proxy'
  id: string
  /** As ledger_window_start reads it; null: of all time. */
  window: string | null
  /** Microcredits. */
  amount: bigint
}

interface Filled {
  /** What the slice leaves now: all there is, where that is less than was wanted. */
  available: bigint
  /** The whole, as a refusal shows it. */
  limitedBy: LimitedBy
}

export interface Slices {
  /** Asks with the call's slice among its limits, filled as far as that is needed. */
  ask(asked: AskedHold, owner: string, take: (asked: AskedHold) => Promise<HoldAnswer>): Promise<HoldAnswer>
  /** Makes the slice of an organization leave that much. False where there is no shared limit. */
  fillFor(organizationId: string, owner: string, wanted: bigint): Promise<boolean>
}

export function createSlices(connection: BatchConnection, shared: SharedLimit | null): Slices {
  /** Wanted of a slice together by those who come while it is being filled. */
  const next = new Map<string, { wanted: bigint; filled: Promise<Filled> }>()
  let running: Promise<unknown> = Promise.resolve()

  async function send(whole: SharedLimit, slice: string, wanted: bigint, least: bigint): Promise<Filled> {
    for (let tries = 1; ; tries += 1) {
      try {
        const { rows } = await connection.use((client) =>
          client.query<{ available: string; limited_by: LimitedBy }>({
            name: 'ledger_fill_slice',
            text: 'select * from tollgate.ledger_fill_slice($1, $2, $3, $4, $5, $6, $7)',
            values: [
              ...[whole.kind, whole.id, whole.window, formatDecimal(whole.amount, 6), slice],
              ...[formatDecimal(wanted, 6), formatDecimal(least, 6)],
            ],
          }),
        )
        const [row] = rows
        if (row === undefined) throw new Error('ledger_fill_slice returned no row')
        return { available: creditsToMicro(row.available), limitedBy: row.limited_by }
      } catch (error) {
        if (tries === TRIES || !['blocked', 'conflict'].includes(classifyError(error))) throw error
      }
    }
  }

  function fill(whole: SharedLimit, slice: string, wanted: bigint, least: bigint): Promise<Filled> {
    const known = next.get(slice)
    if (known !== undefined) {
      known.wanted += wanted
      return known.filled
    }
    const batch = { wanted, filled: Promise.resolve({} as Filled) }
    batch.filled = running.then(() => {
      next.delete(slice)
      return send(whole, slice, batch.wanted, least)
    })
    running = batch.filled.catch(() => {})
    next.set(slice, batch)
    return batch.filled
  }

  return {
    async ask(asked, owner, take) {
      if (shared === null || asked.line === 'leaves') return take(asked)
      const slice = sliceOf(shared, asked.organizationId, owner)
      const limits = [...asked.limits, limitOf(shared, slice)]
      let sliced = false
      for (let tries = 1; ; tries += 1) {
        const answer = await take({ ...asked, limits, sliced })
        if (!isShort(answer, shared, sliced)) return answer
        const { least, wanted } = needOf(asked)
        const { available, limitedBy } = await fill(shared, slice, wanted, least)
        if (available < least || tries === TRIES) {
          if (asked.line?.stands === true) void take({ ...asked, line: 'leaves' }).catch(() => {})
          return {
            ...{ ...answer, outcome: 'limit', limited_by: limitedBy },
            ...{ required: formatDecimal(least, 6), available: formatDecimal(available > 0n ? available : 0n, 6) },
          }
        }
        sliced = available < wanted
      }
    },
    async fillFor(organizationId, owner, wanted) {
      if (shared === null) return false
      await fill(shared, sliceOf(shared, organizationId, owner), wanted, wanted)
      return true
    },
  }
}

function sliceOf({ id }: SharedLimit, organizationId: string, owner: string): string {
  return `${id}#${owner}/${shardOf(organizationId)}`
}

function limitOf({ kind, window }: SharedLimit, slice: string): Limit {
  return { kind, id: slice, window, unit: 'credits', amount: null }
}

/** With what the slice had left it was told to take its part, and somebody else was there first. */
function isShort({ outcome, limited_by }: HoldAnswer, { kind }: SharedLimit, sliced: boolean): boolean {
  return outcome === 'slice' || (sliced && outcome === 'limit' && limited_by?.kind === kind)
}

function needOf({ input, inputBytes, output, least }: AskedHold): { least: bigint; wanted: bigint } {
  return { least: input + least, wanted: (inputBytes > input ? inputBytes : input) + output }
}
