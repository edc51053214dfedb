/** Where events go: one file a kind of receiver. A sink knows neither cursors nor retries. */
import type { OutboxEvent } from './read-events.ts'
import { CHARGES, EVENTS, MOVEMENTS } from './read-events.ts'

export interface Sink {
  /** Patterns of the types it wants: `*`, `charge.*`, `run.near_end`. */
  types: readonly string[]
  /** How many events of one organization it takes at once. */
  mostAtOnce: number
  /**
   * Delivers events of one organization, all or none as far as it can. They may have been delivered before: the receiver knows by their ids.
   * @throws {Error} whose message may be shown to the operator: it holds no secret.
   */
  send(events: readonly OutboxEvent[]): Promise<void>
  close(): Promise<void>
}

export function wants({ types }: Pick<Sink, 'types'>, type: string): boolean {
  return types.some((pattern) => (pattern.endsWith('*') ? type.startsWith(pattern.slice(0, -1)) : pattern === type))
}

/** Tables that may hold what a sink wants. */
export function sourcesOf({ types }: Pick<Sink, 'types'>): number[] {
  const may = (prefix: string) =>
    types.some(
      (pattern) => pattern.startsWith(prefix) || (pattern.endsWith('*') && prefix.startsWith(pattern.slice(0, -1))),
    )
  const isOther = types.some((pattern) => !/^(charge|credits)\./.test(pattern))
  return [...(may('credits.') ? [MOVEMENTS] : []), ...(may('charge.') ? [CHARGES] : []), ...(isOther ? [EVENTS] : [])]
}
