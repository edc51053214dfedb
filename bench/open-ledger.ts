/** The product's ledger on a database, put together as src/server.ts does it. The one place that knows how it is made. */
import { randomUUIDv7 } from 'node:crypto'
import { createLedger } from '../src/ledger/create-ledger.ts'
import type { Ledger } from '../src/ledger/ledger.ts'

/** @param onTrouble told of every failure the ledger repeats. */
export function openLedger(
  databaseUrl: string,
  spoolDirectory: string,
  onTrouble: (what: string, error: unknown) => void,
): Promise<Ledger> {
  return createLedger({
    databaseUrl,
    spoolDirectory,
    leases: { renewSeconds: 5, deadAfterSeconds: 30 },
    creditWaitMs: 5_000,
    sharedLimit: null,
    bookingWaitMs: 250,
    version: 'bench',
    newId: randomUUIDv7,
    onTrouble,
    onRecovered: ({ organizationId }) => onTrouble('recovery', new Error(`holds of ${organizationId} were recovered`)),
  })
}
