/**
 * Hears from the server what changed, and asks again for what is shown of it: one stream a window, no polling. Where the stream breaks the
 * browser opens it again by itself, and everything shown is asked for once more: something may have been missed.
 */
import type { QueryClient } from '@tanstack/react-query'

/** Keys of queries begin with what they are about, in these words. */
export const EVENTS = '/api/v1/events'

const TOPICS = ['calls', 'credits', 'keys', 'limits', 'organization', 'providers', 'configuration'] as const
export type Topic = (typeof TOPICS)[number]

/** @returns what ends it. */
export function listen(queries: QueryClient, address: string): () => void {
  const source = new EventSource(address)
  let wasOpen = false
  const again = (topic: Topic) => void queries.invalidateQueries({ queryKey: [topic] })
  for (const topic of TOPICS) source.addEventListener(topic, () => again(topic))
  source.addEventListener('open', () => {
    if (wasOpen) for (const topic of TOPICS) again(topic)
    wasOpen = true
  })
  return () => source.close()
}
