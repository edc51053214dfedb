/** How long a process waits at its end for whoever reads its log, milliseconds. */
export const LOG_PATIENCE_MS = 2_000
