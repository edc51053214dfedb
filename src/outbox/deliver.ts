/** Hands events to a sink: of each organization in order, until one is not taken; organizations side by side. */
import { lineOf, type OutboxEvent } from './read-events.ts'
import { type Sink, wants } from './sink.ts'

/** Organizations that are served at once. */
const AT_ONCE = 8
/** So many organizations fail, and none succeeds: it is the receiver. */
const DOWN_AFTER = 4

export type Outcome = 'sent' | 'failed' | 'dead'

export interface NotTaken {
  event: OutboxEvent
  error: string
}

export interface Delivered {
  sent: OutboxEvent[]
  failure: NotTaken | null
}

export interface DeliveryOptions {
  sink: Sink
  /** Called before each request: who has lost the lease must not send. @throws {LeaseLostError}. */
  keepLease: () => Promise<void>
  count: (outcome: Outcome, events: number) => void
}

export interface Delivery {
  /** Events of one organization. */
  inOrder(events: readonly OutboxEvent[]): Promise<Delivered>
  /**
   * One result for each organization but those that wait. Null: the receiver takes nothing, of whomever.
   * @param triesAll goes on all the same: these organizations may be why.
   */
  page(page: readonly OutboxEvent[], waiting: ReadonlySet<string>, triesAll: boolean): Promise<Delivered[] | null>
}

export function createDelivery({ sink, keepLease, count }: DeliveryOptions): Delivery {
  async function failureOf(events: readonly OutboxEvent[]): Promise<string | null> {
    await keepLease()
    try {
      await sink.send(events)
      count('sent', events.length)
      return null
    } catch (error) {
      count('failed', 1)
      return (error as Error).message
    }
  }

  /** Which of them is it? One by one, those before it are delivered. */
  async function oneByOne(events: readonly OutboxEvent[], sent: OutboxEvent[]): Promise<NotTaken | null> {
    for (const event of events) {
      const error = await failureOf([event])
      if (error !== null) return { event, error }
      sent.push(event)
    }
    return null
  }

  async function inOrder(events: readonly OutboxEvent[]): Promise<Delivered> {
    const wanted = events.filter(({ type }) => wants(sink, type))
    const sent: OutboxEvent[] = []
    while (sent.length < wanted.length) {
      const part = wanted.slice(sent.length, sent.length + sink.mostAtOnce)
      const error = await failureOf(part)
      if (error === null) {
        sent.push(...part)
        continue
      }
      const failure = part.length === 1 ? { event: part[0]!, error } : await oneByOne(part, sent)
      if (failure !== null) return { sent, failure }
    }
    return { sent, failure: null }
  }

  return {
    inOrder,
    async page(page, waiting, triesAll) {
      const lines = [...Map.groupBy(page, lineOf)].filter(([line]) => !waiting.has(line))
      const results: Delivered[] = []
      while (results.length < lines.length) {
        const isTaken = results.some(({ sent }) => sent.length > 0)
        const together = lines.slice(results.length, results.length + (isTaken ? AT_ONCE : DOWN_AFTER))
        results.push(...(await Promise.all(together.map(([, events]) => inOrder(events)))))
        const nothing = results.every(({ sent, failure }) => failure !== null && sent.length === 0)
        if (nothing && results.length >= DOWN_AFTER && !triesAll) return null
      }
      return results
    },
  }
}
