/**
 * Hears from the server what changed, and asks again for what is shown of it: one stream a window, no polling. Where the stream breaks the
 * browser opens it again by itself, and everything shown is asked for once more: something may have been missed.
 */
import type { QueryClient } from '@tanstack/react-query'

/** Keys of queries begin with what they are about, in these words. */
export const EVENTS = '/api/v1/events'

const TOPICS = ['calls', 'credits', 'keys', 'limits', 'organization', 'providers', 'configuration'] as const
export type Topic = (typeof TOPICS)[number]

/**
 * A window that nobody looks at does not listen: browsers open six connections to a server, whatever the number of windows.
 * @returns what ends it.
 */
export function listen(queries: QueryClient, address: string): () => void {
  let source: EventSource | null = null
  let wasOpen = false
  const again = (topic: Topic) => void queries.invalidateQueries({ queryKey: [topic] })
  const everything = () => TOPICS.forEach(again)
  const open = () => {
    source = new EventSource(address)
    for (const topic of TOPICS) source.addEventListener(topic, () => again(topic))
    source.addEventListener('open', () => {
      if (wasOpen) everything()
      wasOpen = true
    })
  }
  const close = () => {
    source?.close()
    source = null
  }
  const look = () => {
    if (document.hidden) close()
    else if (source === null) open()
  }
  look()
  document.addEventListener('visibilitychange', look)
  return () => {
    document.removeEventListener('visibilitychange', look)
    close()
  }
}
