/** The ledger of one process: shards to the database, a lease on its holds, a spool on the local disk, recovery of the dead. */
import { TollgateError } from '../http/errors.ts'
import { creditsToMicro } from '../metering/money.ts'
import { type BatchConnection, createBatchConnection } from './batch-connection.ts'
import { type Checkpoints, createCheckpoints } from './checkpoints.ts'
import type { CloseAnswer } from './close-batch.ts'
import { connectShards, type LedgerShards } from './connect-shards.ts'
import type { HoldAnswer, InLine } from './hold-batch.ts'
import { type Lease, takeLease } from './lease.ts'
import type { Hold, HoldRequest, HoldSize, Ledger, LedgerObserver, Progress, Settled } from './ledger.ts'
import { createLine, type Line } from './line.ts'
import { type ProgressAnswer, tellEnded } from './progress-batch.ts'
import { quotaStateOf } from './quota-limits.ts'
import { createRecovery, type Recovered } from './recovery.ts'
import { refusalOf, unavailable } from './refusal.ts'
import { createSettlementQueue, type SettlementQueue } from './settlement-queue.ts'
import { createSlices, type SharedLimit, type Slices } from './slices.ts'
import { openSpool, type Spool } from './spool.ts'
import { createHoldTaker, type HoldTaker } from './take-hold.ts'
import { within } from './within.ts'

/** How long a call waits for its hold; a database that restarts is back within that. */
const PATIENCE_MS = 5_000

export interface LedgerOptions {
  databaseUrl: string
  spoolDirectory: string
  leases: { renewSeconds: number; deadAfterSeconds: number }
  /** How long a response waits for its settlement; then it is on the local disk. */
  bookingWaitMs: number
  /** How long a call waits for running ones that hold what it needs; 0: it does not. */
  creditWaitMs: number
  /** What bounds all calls of the product together; null: nothing does. */
  sharedLimit: SharedLimit | null
  version: string
  newId: () => string
  /** Told of every failure that is being repeated; the operator should see them. The request id is what the caller sent as one. */
  onTrouble: (what: string, error: unknown, callId?: string, requestId?: string | null) => void
  onRecovered: (recovered: Recovered) => void
  observer?: LedgerObserver
}

interface Parts {
  lease: Lease
  spool: Spool
  shards: LedgerShards
  settlements: SettlementQueue
  checkpoints: Checkpoints
  holdTaker: HoldTaker
  line: Line
  slices: Slices
  observer: LedgerObserver | undefined
  onTrouble: LedgerOptions['onTrouble']
  isOpen: () => boolean
}

/** @throws when the database can't be reached, or the spool can't be made. */
export async function createLedger(options: LedgerOptions): Promise<Ledger> {
  const { databaseUrl: url, leases, observer } = options
  let closed = false
  /** What is cut short on the way out is no trouble. */
  const onTrouble: LedgerOptions['onTrouble'] = (...trouble) => {
    if (!closed) options.onTrouble(...trouble)
  }
  const recoveryConnection = createBatchConnection(url, 'recovery')
  const recover = createRecovery({
    connection: recoveryConnection,
    deadAfterSeconds: leases.deadAfterSeconds,
    onRecovered: options.onRecovered,
    onTrouble,
  })
  const leaseConnection = createBatchConnection(url, 'lease')
  const id = options.newId()
  const spool = await openSpoolFor(leaseConnection, options.spoolDirectory, id, onTrouble)
  const lease = await takeLease({
    connection: leaseConnection,
    renewSeconds: leases.renewSeconds,
    version: options.version,
    id,
    newId: options.newId,
    onTrouble,
    onTick() {
      spool.probe()
      if (spool.writable) void settlements.flushSpool()
      settlements.adopt()
      void recover()
    },
  }).catch(async (error: unknown) => {
    spool.close()
    await Promise.all([leaseConnection.close(), recoveryConnection.close()])
    throw error
  })
  const shards = connectShards({ url, owner: () => lease.owner, onTrouble, observer })
  const settlements = createSettlementQueue({ shards: shards.closes, spool, waitMs: options.bookingWaitMs, onTrouble })

  // What dead processes left is not waited for: it may be much, and the database slow.
  settlements.adopt()
  void recover()

  const isOpen = () => !closed && lease.valid && spool.writable
  const holdTaker = createHoldTaker(shards.holds, PATIENCE_MS, (close) => settlements.enqueue(close))
  const checkpoints = createCheckpoints(shards.progress, (error, callId) => onTrouble('checkpoint', error, callId))
  const line = createLine({
    url,
    waitMs: options.creditWaitMs,
    now: () => performance.now(),
    onTrouble: (error) => onTrouble('line', error),
  })
  const slices = createSlices(leaseConnection, options.sharedLimit)
  const parts = { slices, lease, spool, shards, settlements, checkpoints, holdTaker, line, observer, onTrouble, isOpen }
  return ledgerOf(parts, async () => {
    await lease.giveUp().catch((error: unknown) => onTrouble('lease', error))
    closed = true
    const connections = [shards.holds, shards.progress, shards.closes, leaseConnection, recoveryConnection, line]
    await Promise.all(connections.map((each) => each.close()))
    spool.close()
  })
}

function ledgerOf(parts: Parts, close: () => Promise<void>): Ledger {
  const { lease, settlements, checkpoints, observer, isOpen } = parts
  return {
    get open() {
      return isOpen()
    },
    get overdue() {
      return settlements.overdue
    },
    covers: (hold) => isOpen() && hold.owner === lease.owner,
    async hold(request) {
      const asked = performance.now()
      try {
        return await hold(parts, request)
      } finally {
        observer?.hold(secondsSince(asked))
      }
    },
    checkpoint(callId, organizationId, delivered, onEnded) {
      checkpoints.note({ callId, organizationId, delivered, ...(onEnded === undefined ? {} : { onEnded }) })
    },
    extend: (request) => extend(parts, request),
    async settle(settlement) {
      const asked = performance.now()
      checkpoints.forget(settlement.callId)
      const answer = await settlements.enqueue({ state: 'settled', closing: settlement })
      observer?.settle(secondsSince(asked))
      return answer === null ? { state: 'pending' } : settledOf(answer)
    },
    async release(closing) {
      checkpoints.forget(closing.callId)
      await settlements.enqueue({ state: 'released', closing })
    },
    drain: (timeoutMs) => drain(parts, timeoutMs),
    close,
  }
}

async function hold(parts: Parts, request: HoldRequest): Promise<Hold> {
  const { line, onTrouble } = parts
  try {
    const { answer, owner, waitedMs } = await line.hold(request, (place) => ask(parts, request, place))
    if (answer.outcome !== 'held') throw refusalOf(answer, request.tier)
    const granted = holdOf(request, answer, owner)
    return waitedMs === undefined ? granted : { ...granted, waitedMs }
  } catch (error) {
    if (!(error instanceof TollgateError)) {
      onTrouble('hold', error, request.callId, request.requestId)
      throw unavailable(error)
    }
    if (error.cause !== undefined) onTrouble('hold', error.cause, request.callId, request.requestId)
    throw error
  }
}

async function ask(
  { lease, holdTaker, slices, isOpen }: Parts,
  request: HoldRequest,
  line: InLine | undefined,
): Promise<{ answer: HoldAnswer; owner: string }> {
  if (!lease.valid) await lease.renew()
  if (!isOpen()) throw unavailable(new Error('the lease is not valid or the spool can not be written'))
  const asked = line === undefined ? request : { ...request, line }
  const { owner } = lease
  const answer = await slices.ask(asked, owner, holdTaker.take)
  if (answer.outcome !== 'no_lease') return { answer, owner }
  await lease.renew()
  const { owner: renewed } = lease
  return { owner: renewed, answer: await slices.ask(asked, renewed, holdTaker.take) }
}

async function extend(parts: Parts, request: Progress & { hold: HoldSize }): Promise<bigint | null> {
  const { slices, lease, onTrouble } = parts
  try {
    let answer = await sendExtension(parts, request)
    if (answer.outcome === 'refused' && (await slices.fillFor(request.organizationId, lease.owner, request.hold.total)))
      answer = await sendExtension(parts, request)
    tellEnded(request, answer)
    return answer.outcome === 'extended' && answer.held !== null ? creditsToMicro(answer.held) : null
  } catch (error) {
    onTrouble('extend', error, request.callId)
    return null
  }
}

async function sendExtension({ shards }: Parts, request: Progress): Promise<ProgressAnswer> {
  // One that comes too late only makes the hold larger than it has to be.
  const answer = await within<ProgressAnswer | null>(PATIENCE_MS, shards.progress.run(request).answer, () => null)
  if (answer === null) throw new Error('the database did not answer in time')
  return answer
}

async function drain({ holdTaker, settlements, onTrouble }: Parts, timeoutMs: number): Promise<boolean> {
  const until = performance.now() + timeoutMs
  await within<unknown>(timeoutMs, holdTaker.settled(), () => null)
  const { left, safe } = await settlements.drain(Math.max(0, until - performance.now()))
  if (left > 0) {
    const where = safe ? 'they wait in the spool' : 'they are LOST, the spool can not be written'
    onTrouble('drain', new Error(`${left} closings are not on the books: ${where}`))
  }
  return left === 0
}

/** @throws when the database can't be reached, or the spool can't be made. */
async function openSpoolFor(
  connection: BatchConnection,
  directory: string,
  id: string,
  onTrouble: LedgerOptions['onTrouble'],
): Promise<Spool> {
  try {
    const { rows } = await connection.use((client) =>
      client.query<{ ledger_id: string }>('select ledger_id from tollgate.ledger_identity'),
    )
    return openSpool({ directory, id, ledgerId: rows[0]?.ledger_id ?? '', onTrouble })
  } catch (error) {
    await connection.close()
    throw error
  }
}

function secondsSince(start: number): number {
  return (performance.now() - start) / 1000
}

function holdOf(
  { callId }: HoldRequest,
  { held, input, remaining, key_used, limited_by }: HoldAnswer,
  owner: string,
): Hold {
  return {
    callId,
    held: creditsToMicro(held ?? '0'),
    input: creditsToMicro(input ?? '0'),
    remaining: creditsToMicro(remaining ?? '0'),
    keySpend: key_used === null ? null : creditsToMicro(key_used),
    quota: limited_by === null ? null : quotaStateOf(limited_by),
    owner,
  }
}

function settledOf({ charged, remaining, key_used }: CloseAnswer): Settled {
  return {
    state: 'settled',
    charged: creditsToMicro(charged),
    remaining: creditsToMicro(remaining ?? '0'),
    keySpend: key_used === null ? null : creditsToMicro(key_used),
  }
}
