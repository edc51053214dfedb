/** The sink of a consumer, by what the configuration says. */
import type { ConsumerSetting } from '../config/config.ts'
import type { Database } from '../db/connect.ts'
import type { AddressGuard } from '../http/address-guard.ts'
import { createCloudEventsSink } from './cloudevents-sink.ts'
import { createLagoSink } from './lago-sink.ts'
import { createPost } from './post.ts'
import type { Sink } from './sink.ts'
import { createSlackSink } from './slack-sink.ts'
import { createStripeSink } from './stripe-sink.ts'
import { createWebhookSink } from './webhook-sink.ts'

export interface SinkDependencies {
  guard: AddressGuard
  database: Pick<Database, 'query'>
  now: () => Date
}

export function createSink({ receiver, types }: ConsumerSetting, { guard, database, now }: SinkDependencies): Sink {
  const post = createPost(guard)
  switch (receiver.kind) {
    case 'webhook': {
      const secrets = receiver.secrets.map((secret) => Buffer.from(secret, 'base64'))
      return createWebhookSink({ url: receiver.url, secrets, types }, post, now)
    }
    case 'slack':
      return createSlackSink(receiver.url, types, post)
    case 'cloudevents':
      return createCloudEventsSink({ ...receiver, types }, post)
    case 'lago':
      return createLagoSink({ ...receiver, types }, post, database)
    case 'stripe':
      return createStripeSink({ ...receiver, types }, post, database)
  }
}
