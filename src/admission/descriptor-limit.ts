/** How many files and sockets the system lets this process have open. */

/** Pools, the ledger's connections, the spool, the log and the program's own files. */
const KEPT = 128

/** The soft limit, which Node raises to the hard one when it starts; null where the system has none, or does not tell. */
export function descriptorLimit(): number | null {
  const report = process.report as NodeJS.ProcessReport & { excludeNetwork: boolean }
  // It would look up the names of addresses.
  report.excludeNetwork = true
  // Read from the report: Node has no call for it, and /proc is Linux only.
  const { userLimits } = report.getReport() as { userLimits?: { open_files?: { soft?: unknown } } }
  const soft = userLimits?.open_files?.soft
  return typeof soft === 'number' ? soft : null
}

/** Connections of callers that fit: each may need one to a provider as well. */
export function connectionsWithin(descriptors: number | null, wanted: number): number {
  if (descriptors === null) return wanted
  return Math.min(wanted, Math.max(16, Math.floor((descriptors - KEPT) / 2)))
}
