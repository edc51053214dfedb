/**
 * How long to wait before a place that gave no connection is asked again. Who had the request is never asked again, whatever it said:
 * every client repeats a call by itself, and a repetition of ours inside of each of those would multiply what a provider that limits
 * calls, or is overloaded, gets. Another one is asked at once.
 */
const BACKOFF_MS = 250
/** Nobody waits longer for a connection that was refused. */
const PATIENCE_MS = 5_000

/**
 * Returns milliseconds, or null not to try again.
 * @param tries how often it was tried after the first. @param least as the operator says.
 * @param random from 0 to 1: callers that failed together don't come back together.
 */
export function waitBefore(tries: number, least: number, random: number): number | null {
  const wait = Math.max(least, BACKOFF_MS * 2 ** tries * (0.5 + random / 2))
  return wait <= PATIENCE_MS ? wait : null
}
