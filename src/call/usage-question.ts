/**
 * Decides whether a stream is asked for its usage (`stream_options`). A server that rejected the question is not asked for a while. That
 * is learned only from a call in which the question is ours alone (else the server may quote the caller's words), and only once the same
 * call succeeded without it. It is forgotten after ten minutes: a server that is not asked states no usage, so its calls are estimated.
 */
const FORGET_MS = 10 * 60_000

/** The ids of deployments that are not asked. */
export interface UsageQuestionRefused {
  has(id: string): boolean
  add(id: string): unknown
}

/** @param now monotonic, in milliseconds. */
export function createUsageQuestionRefused(now: () => number): UsageQuestionRefused {
  const until = new Map<string, number>()
  return {
    has(id) {
      const end = until.get(id)
      if (end !== undefined && end <= now()) until.delete(id)
      return until.has(id)
    },
    add: (id) => until.set(id, now() + FORGET_MS),
  }
}

export function asksForUsage(unsupported: UsageQuestionRefused, isStream: boolean, deploymentId: string): boolean {
  return isStream && !unsupported.has(deploymentId)
}
