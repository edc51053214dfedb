/**
 * This process as the owner of its holds, for as long as its lease is valid. A process calls upstream only while it is, by its
 * own monotonic clock: one that was stopped for a while wakes to a lease that is over, whoever has recovered its holds.
 *
 * Fails closed: a lease that can't be renewed runs out, and no paid call starts until it could be.
 */
import { hostname } from 'node:os'
import { performance } from 'node:perf_hooks'
import type { BatchConnection } from './batch-connection.ts'

/** A lease lasts this many renewals: two may fail. */
const RENEWALS = 3

export interface LeaseOptions {
  connection: BatchConnection
  renewSeconds: number
  version: string
  /** Of the process, and of what it goes on as once it was declared dead. */
  id: string
  newId: () => string
  onTrouble: (what: string, error: unknown) => void
  /** Runs after each attempt to renew; not waited for. */
  onTick: () => void
}

export interface Lease {
  /** The process's id. Another one once the first was declared dead. */
  readonly owner: string
  readonly valid: boolean
  /** Renews now. Never throws. */
  renew(): Promise<void>
  /** Stops renewing, and says that the process is gone. */
  giveUp(): Promise<void>
}

/** @throws when the process can't be registered. */
export async function takeLease(options: LeaseOptions): Promise<Lease> {
  const { connection, renewSeconds, version, newId, onTrouble } = options
  const seconds = renewSeconds * RENEWALS
  let owner = options.id
  let validUntil = 0
  let timer: NodeJS.Timeout | undefined
  let over = false
  let running: Promise<void> | null = null

  async function register(): Promise<void> {
    const since = performance.now()
    await connection.use((client) =>
      client.query(
        `insert into tollgate.ledger_processes (id, host, pid, version, lease_until)
          values ($1, $2, $3, $4, tollgate.tollgate_now() + make_interval(secs => $5))
          on conflict (id) do nothing`,
        [owner, hostname().slice(0, 255), process.pid, version, seconds],
      ),
    )
    validUntil = since + seconds * 1000
  }

  async function prolong(): Promise<void> {
    const since = performance.now()
    const { rowCount } = await connection.use((client) =>
      client.query(
        `update tollgate.ledger_processes set lease_until = tollgate.tollgate_now() + make_interval(secs => $2)
          where id = $1 and stopped_at is null and dead_at is null`,
        [owner, seconds],
      ),
    )
    if (rowCount === 1) {
      validUntil = since + seconds * 1000
      return
    }
    validUntil = 0
    onTrouble('lease', new Error(`process ${owner} was declared dead; it goes on under another id`))
    owner = newId()
    await register()
  }

  async function tick(): Promise<void> {
    try {
      await prolong()
    } catch (error) {
      onTrouble('lease', error)
    }
    try {
      options.onTick()
    } catch (error) {
      onTrouble('lease', error)
    }
  }

  function renew(): Promise<void> {
    running ??= tick().finally(() => {
      running = null
    })
    return running
  }

  function schedule(): void {
    if (over) return
    timer = setTimeout(() => void renew().finally(schedule), renewSeconds * 1000)
    timer.unref()
  }

  await register()
  schedule()
  return {
    get owner() {
      return owner
    },
    get valid() {
      return !over && performance.now() < validUntil
    },
    renew,
    async giveUp() {
      over = true
      clearTimeout(timer)
      await running
      await connection.use((client) =>
        client.query('update tollgate.ledger_processes set stopped_at = tollgate.tollgate_now() where id = $1', [
          owner,
        ]),
      )
    },
  }
}
