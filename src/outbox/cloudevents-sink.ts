/** CloudEvents in batches (application/cloudevents-batch+json), as OpenMeter takes them. Receivers tell events by source and id. */
import type { Post } from './post.ts'
import type { Sink } from './sink.ts'
import { payloadOf } from './webhook-sink.ts'

const MOST = 100
const CONTENT_TYPE = 'application/cloudevents-batch+json'

export interface CloudEventsSettings {
  url: string
  headers: Readonly<Record<string, string>>
  types: readonly string[]
}

/** The subject is the organization: whose use it is. */
export function createCloudEventsSink({ url, headers, types }: CloudEventsSettings, post: Post): Sink {
  return {
    types,
    mostAtOnce: MOST,
    async send(events) {
      const batch = events.map((event) => {
        const { type, timestamp, data } = payloadOf(event)
        const subject = event.organizationId === null ? {} : { subject: event.organizationId }
        const about = { specversion: '1.0', id: event.id, source: 'tollgate', type, time: timestamp }
        return { ...about, ...subject, datacontenttype: 'application/json', data }
      })
      await post.deliver({ url, headers: { ...headers, 'content-type': CONTENT_TYPE }, body: JSON.stringify(batch) })
    },
    close: () => post.close(),
  }
}
