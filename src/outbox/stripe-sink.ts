/** Stripe's meter events: what a charge cost, in whole microcredits, for the customer that stands for the organization. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { creditsToMicro } from '../metering/money.ts'
import { type Post, refusalOf } from './post.ts'
import type { Sink } from './sink.ts'

export interface StripeMeterSettings {
  url: string
  secretKey: string
  /** The event_name of the meter. */
  meter: string
  /** Stripe's customers, by the name or the id of the organization. */
  customers: Readonly<Record<string, string>>
  types: readonly string[]
}

/** Organizations without a customer are passed over: nobody bills them by Stripe. */
export function createStripeSink(settings: StripeMeterSettings, post: Post, database: Pick<Database, 'query'>): Sink {
  const { url, secretKey, meter, customers, types } = settings
  return {
    types,
    mostAtOnce: 1,
    async send(events) {
      for (const { id, at, organizationId, credits } of events) {
        const value = creditsToMicro(credits ?? '0')
        const customer = organizationId === null ? undefined : await customerOf(database, organizationId, customers)
        if (customer === undefined || value === 0n) continue
        const form = new URLSearchParams({
          event_name: meter,
          identifier: id,
          timestamp: String(Math.floor(at.getTime() / 1000)),
          'payload[stripe_customer_id]': customer,
          'payload[value]': String(value),
        })
        const { status, text } = await post.ask({
          url: `${url.replace(/\/+$/, '')}/v1/billing/meter_events`,
          headers: {
            authorization: `Bearer ${secretKey}`,
            'content-type': 'application/x-www-form-urlencoded',
            'idempotency-key': id,
          },
          body: form.toString(),
        })
        if (status >= 200 && status < 300) continue
        // It was sent before, and Stripe counts it once.
        if (status === 400 && text.includes('duplicate_meter_event')) continue
        throw new Error(refusalOf(status, text))
      }
    },
    close: () => post.close(),
  }
}

async function customerOf(
  { query }: Pick<Database, 'query'>,
  organizationId: string,
  customers: StripeMeterSettings['customers'],
): Promise<string | undefined> {
  const own = customers[organizationId]
  if (own !== undefined) return own
  const { rows } = await sql<{ name: string }>`select name from organizations where id = ${organizationId}`.execute(
    query,
  )
  return rows[0] === undefined ? undefined : customers[rows[0].name]
}
