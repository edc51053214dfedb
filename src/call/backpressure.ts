/** Pauses upstream while anything holds it: the caller's full socket, or the meter. */

type Reason = 'client' | 'meter'

export interface Backpressure {
  press(reason: Reason): void
  release(reason: Reason): void
  /** Lets upstream flow whatever held it, where nobody would release the reasons any more. */
  releaseAll(): void
}

export function createBackpressure(upstream: () => { pause(): void; resume(): void } | null): Backpressure {
  const reasons = new Set<Reason>()
  return {
    press(reason) {
      reasons.add(reason)
      upstream()?.pause()
    },
    release(reason) {
      if (reasons.delete(reason) && reasons.size === 0) upstream()?.resume()
    },
    releaseAll() {
      reasons.clear()
      upstream()?.resume()
    },
  }
}
