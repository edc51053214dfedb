/**
 * Closes the holds of processes that are gone, at their last checkpoint. Every process does this after each renewal of its lease;
 * several may at once. An organization whose rows somebody holds is left for the next time.
 */
import type { BatchConnection } from './batch-connection.ts'

const HOLDS_AT_ONCE = 200

export interface Recovered {
  organizationId: string
  /** Holds that were charged, and holds that had nothing to be charged. */
  charged: number
  released: number
  /** Decimal credits. */
  credits: string
}

export interface RecoveryOptions {
  connection: BatchConnection
  deadAfterSeconds: number
  onRecovered: (recovered: Recovered) => void
  onTrouble: (what: string, error: unknown) => void
}

/** Returns a function that runs one recovery and never throws. While one runs, a second request joins it. */
export function createRecovery(options: RecoveryOptions): () => Promise<void> {
  const { connection, deadAfterSeconds, onRecovered, onTrouble } = options
  let running: Promise<void> | null = null

  async function recoverSome(organizationId: string): Promise<number> {
    const { rows } = await connection.use((client) =>
      client.query<{ recovered: number; released: number; credits: string }>(
        'select * from tollgate.ledger_recover(make_interval(secs => $1), $2, $3)',
        [deadAfterSeconds, organizationId, HOLDS_AT_ONCE],
      ),
    )
    const row = rows[0]
    if (row === undefined) return 0
    const { recovered: charged, released, credits } = row
    if (charged + released > 0) onRecovered({ organizationId, charged, released, credits })
    return charged + released
  }

  async function recover(): Promise<void> {
    const { rows } = await connection.use((client) =>
      client.query<{ id: string }>('select tollgate.ledger_find_dead(make_interval(secs => $1)) as id', [
        deadAfterSeconds,
      ]),
    )
    for (const { id } of rows) {
      try {
        while ((await recoverSome(id)) === HOLDS_AT_ONCE);
      } catch (error) {
        onTrouble('recovery', error)
      }
    }
  }

  return () => {
    running ??= recover()
      .catch((error: unknown) => onTrouble('recovery', error))
      .finally(() => {
        running = null
      })
    return running
  }
}
