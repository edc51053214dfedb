/** A line in a channel of Slack, over an incoming webhook. Slack knows no ids: an event that is sent again is a second line. */
import type { Post } from './post.ts'
import type { OutboxEvent } from './read-events.ts'
import type { Sink } from './sink.ts'

const SHOWN_MAX = 3_000

export function createSlackSink(url: string, types: readonly string[], post: Post): Sink {
  return {
    types,
    mostAtOnce: 1,
    async send(events) {
      for (const event of events)
        await post.deliver({
          url,
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ text: lineFor(event) }),
        })
    },
    close: () => post.close(),
  }
}

/** `*balance.low* organization 5eb0..., left: 18.5`: what is null is left out. */
function lineFor({ type, organizationId, userId, data }: OutboxEvent): string {
  const whose = { organization: organizationId, user: userId }
  const facts = Object.entries({ ...whose, ...data }).flatMap(([name, value]) =>
    value === null ? [] : [`${name}: ${typeof value === 'object' ? JSON.stringify(value) : value}`],
  )
  return harmless(`*${type}* ${facts.join(', ')}`.slice(0, SHOWN_MAX))
}

/** The three characters that Slack reads as markup of its own: a name must not mention a whole channel. */
function harmless(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
