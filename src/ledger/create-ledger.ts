/** The ledger of one process: shards to the database, a lease on its holds, a spool on the local disk, recovery of the dead. */
import { TollgateError } from '../http/errors.ts'
import { creditsToMicro } from '../metering/money.ts'
import { type BatchConnection, createBatchConnection } from './batch-connection.ts'
import { type Close, type CloseAnswer, sendCloses } from './close-batch.ts'
import { type HoldAnswer, sendHolds } from './hold-batch.ts'
import { takeLease } from './lease.ts'
import type { Hold, HoldRequest, Ledger, LedgerObserver, Pending, Progress, Settled } from './ledger.ts'
import { type ProgressAnswer, sendProgress, tellEnded } from './progress-batch.ts'
import { createRecovery, type Recovered } from './recovery.ts'
import { refusalOf, unavailable } from './refusal.ts'
import { createSettlementQueue } from './settlement-queue.ts'
import { createShards, type Job } from './shards.ts'
import { openSpool, type Spool } from './spool.ts'
import { within } from './within.ts'

/** How long a call waits for its hold; a database that restarts is back within that. */
const PATIENCE_MS = 5_000
const SHARDS = 2
/**
 * A checkpoint waits this long for others to go along: one commit for all that go out meanwhile, and none for a call that is over by
 * then. A process that is killed within it loses the input of the calls it has just sent out.
 */
const CHECKPOINT_LINGER_MS = 20

export interface LedgerOptions {
  databaseUrl: string
  spoolDirectory: string
  leases: { renewSeconds: number; deadAfterSeconds: number }
  /** How long an answer waits for its settlement; then it is on the local disk. */
  bookingWaitMs: number
  version: string
  newId: () => string
  /** Told of every failure that is being repeated; the operator should see them. The request id is what the caller sent as one. */
  onTrouble: (what: string, error: unknown, callId?: string, requestId?: string | null) => void
  onRecovered: (recovered: Recovered) => void
  observer?: LedgerObserver
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
  const trouble = (what: string) => (error: unknown, size: number) => onTrouble(`${what} batch of ${size}`, error)
  const shardsOf = { url, organizationOf: (request: { organizationId: string }) => request.organizationId }
  const holds = createShards<HoldRequest, HoldAnswer>({
    ...shardsOf,
    name: 'hold',
    shards: SHARDS,
    send: (client, requests) => sendHolds(client, lease.owner, requests),
    onTrouble: trouble('hold'),
    onBatch: (size) => observer?.batch('hold', size),
  })
  const progress = createShards<Progress, ProgressAnswer>({
    ...shardsOf,
    name: 'progress',
    shards: 1,
    // An extension has a stream waiting for it.
    lingerOf: ({ hold }) => (hold === null ? CHECKPOINT_LINGER_MS : 0),
    send: sendProgress,
    onTrouble: trouble('progress'),
    onBatch: (size) => observer?.batch('progress', size),
  })
  const closes = createShards<Close, CloseAnswer>({
    url,
    name: 'close',
    shards: SHARDS,
    organizationOf: ({ closing }) => closing.organizationId,
    send: sendCloses,
    onTrouble: trouble('close'),
    onBatch: (size) => observer?.batch('close', size),
  })
  const settlements = createSettlementQueue({ shards: closes, spool, waitMs: options.bookingWaitMs, onTrouble })
  /** The last checkpoint of each call that is not answered yet. */
  const checkpoints = new Map<string, Job<Progress, ProgressAnswer>>()
  /** Nobody waits for them any more, but they may have been taken. */
  const lateHolds = new Set<Promise<unknown>>()
  const isOpen = () => !closed && lease.valid && spool.writable

  /** Within the patience of a caller. A hold that comes too late is given back. */
  async function holdSoon(request: HoldRequest): Promise<HoldAnswer> {
    const job = holds.run(request)
    const answered = job.answer.catch((error: unknown) => {
      // Refused now, but it was sent before and may have been taken then.
      if (job.ambiguous) remember(giveBack(request))
      throw error
    })
    const answer = await within<HoldAnswer | null>(PATIENCE_MS, answered, () => null)
    if (answer !== null) return answer
    if (!job.drop()) remember(answered.then(() => giveBack(request)))
    throw unavailable(new Error('the database did not answer the hold'))
  }

  function remember(late: Promise<unknown>): void {
    lateHolds.add(late)
    const forget = () => lateHolds.delete(late)
    late.then(forget, forget)
  }

  function giveBack(request: HoldRequest): Promise<unknown> {
    const details = { error: 'the database did not answer the hold in time' }
    return settlements.enqueue({ state: 'released', closing: { ...namesOf(request), outcome: 'failed', details } })
  }

  function forgetCheckpoint(callId: string): void {
    checkpoints.get(callId)?.drop()
    checkpoints.delete(callId)
  }

  // What dead processes left is not waited for: it may be much, and the database slow.
  settlements.adopt()
  void recover()

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
      if (!lease.valid) await lease.renew()
      if (!isOpen()) throw unavailable(new Error('the lease is not valid or the spool can not be written'))
      let { owner } = lease
      try {
        let answer = await holdSoon(request)
        if (answer.outcome === 'no_lease') {
          await lease.renew()
          owner = lease.owner
          answer = await holdSoon(request)
        }
        if (answer.outcome !== 'held') throw refusalOf(answer)
        return holdOf(request, answer, owner)
      } catch (error) {
        if (!(error instanceof TollgateError)) {
          onTrouble('hold', error, request.callId, request.requestId)
          throw unavailable(error)
        }
        if (error.cause !== undefined) onTrouble('hold', error.cause, request.callId, request.requestId)
        throw error
      } finally {
        observer?.hold(secondsSince(asked))
      }
    },

    checkpoint(callId, organizationId, delivered, onEnded) {
      // A question alone does not push aside what is to be noted.
      if (delivered === null && checkpoints.has(callId)) return
      forgetCheckpoint(callId)
      const request = { callId, organizationId, delivered, hold: null, ...(onEnded === undefined ? {} : { onEnded }) }
      const job = progress.run(request)
      checkpoints.set(callId, job)
      const forget = () => {
        if (checkpoints.get(callId) === job) checkpoints.delete(callId)
      }
      job.answer.then(
        (answer) => {
          forget()
          tellEnded(request, answer)
        },
        (error: unknown) => {
          forget()
          onTrouble('checkpoint', error, callId)
        },
      )
    },

    async extend(request) {
      try {
        // One that comes too late only makes the hold larger than it has to be.
        const answer = await within<ProgressAnswer | null>(PATIENCE_MS, progress.run(request).answer, () => null)
        if (answer === null) throw new Error('the database did not answer in time')
        tellEnded(request, answer)
        return answer.outcome === 'extended' && answer.held !== null ? creditsToMicro(answer.held) : null
      } catch (error) {
        onTrouble('extend', error, request.callId)
        return null
      }
    },

    async settle(settlement): Promise<Settled | Pending> {
      const asked = performance.now()
      forgetCheckpoint(settlement.callId)
      const answer = await settlements.enqueue({ state: 'settled', closing: settlement })
      observer?.settle(secondsSince(asked))
      return answer === null ? { state: 'pending' } : settledOf(answer)
    },

    async release(closing) {
      forgetCheckpoint(closing.callId)
      await settlements.enqueue({ state: 'released', closing })
    },

    async drain(timeoutMs) {
      const until = performance.now() + timeoutMs
      await within<unknown>(timeoutMs, Promise.allSettled(lateHolds), () => null)
      const { left, safe } = await settlements.drain(Math.max(0, until - performance.now()))
      if (left > 0) {
        const where = safe ? 'they wait in the spool' : 'they are LOST, the spool can not be written'
        onTrouble('drain', new Error(`${left} closings are not on the books: ${where}`))
      }
      return left === 0
    },

    async close() {
      await lease.giveUp().catch((error: unknown) => onTrouble('lease', error))
      closed = true
      await Promise.all([holds, progress, closes, leaseConnection, recoveryConnection].map((each) => each.close()))
      spool.close()
    },
  }
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

function namesOf(request: HoldRequest) {
  const { callId, organizationId, userId, keyId, serviceName, requestId } = request
  return { callId, organizationId, userId, keyId, serviceName, requestId }
}

function holdOf({ callId }: HoldRequest, { held, input, remaining, key_used }: HoldAnswer, owner: string): Hold {
  return {
    callId,
    held: creditsToMicro(held ?? '0'),
    input: creditsToMicro(input ?? '0'),
    remaining: creditsToMicro(remaining ?? '0'),
    keySpend: key_used === null ? null : creditsToMicro(key_used),
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
