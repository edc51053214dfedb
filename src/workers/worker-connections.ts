/** Connections to the database that one of several workers may have: what one process has, divided, apart from the ledger's. */

/** Of the ledger (eleven of its shards, lease, recovery and line), and the vault's. No worker can do with fewer. */
const UNDIVIDED = 15
/** One that is slow must not stop what else there is. */
const POOL_LEAST = 2

export interface PoolSizes {
  identities: number
  calls: number
  management: number
}

/** Of a process by itself. */
export const POOLS: PoolSizes = { identities: 4, calls: 8, management: 8 }

export function connectionsOf(workers: number): PoolSizes & { all: number } {
  const part = (whole: number) => Math.min(whole, Math.max(POOL_LEAST, Math.ceil(whole / workers)))
  const identities = part(POOLS.identities)
  const calls = part(POOLS.calls)
  const management = part(POOLS.management)
  return { identities, calls, management, all: UNDIVIDED + identities + calls + management }
}
