/**
 * Lago: an organization is a customer with one subscription, both under its own id; a charge is a usage event whose transaction_id is the
 * id of its row. Whatever is sent again changes nothing there: customers are written over, a subscription is found by its id, and an event that
 * Lago has is told to be one.
 */
import { sql } from 'kysely'
import { LRUCache } from 'lru-cache'
import type { Plan } from '../config/config.ts'
import type { Database } from '../db/connect.ts'
import { type Post, refusalOf } from './post.ts'
import type { OutboxEvent } from './read-events.ts'
import type { Sink } from './sink.ts'

/** Lago takes no more in one request. */
const MOST = 100
const KNOWN_MAX = 10_000

export interface LagoSettings {
  url: string
  apiKey: string
  /** The billable metric. */
  metric: string
  /** Lago's codes of our plans. */
  plans: Readonly<Record<Plan, string>>
  types: readonly string[]
}

interface Customer {
  name: string
  plan: Plan
  /** It had a plan, which was canceled: Lago is not to begin another. */
  isOver: boolean
}

export function createLagoSink(settings: LagoSettings, post: Post, database: Pick<Database, 'query'>): Sink {
  const { url, apiKey, metric, plans, types } = settings
  /** What Lago was told of an organization last. */
  const told = new LRUCache<string, string>({ max: KNOWN_MAX })

  const ask = (path: string, body: unknown) =>
    post.ask({
      url: `${url.replace(/\/+$/, '')}/api/v1/${path}`,
      headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })

  async function require(path: string, body: unknown): Promise<void> {
    const { status, text } = await ask(path, body)
    if (status < 200 || status >= 300) throw new Error(`${path}: ${refusalOf(status, text)}`)
  }

  /** Before its first event, and whenever its name or plan is another one. */
  async function introduce(organizationId: string): Promise<void> {
    const customer = await findCustomer(database, organizationId)
    const state = JSON.stringify(customer)
    if (told.get(organizationId) === state) return
    await require('customers', { customer: { external_id: organizationId, name: customer.name.slice(0, 255) } })
    if (!customer.isOver) {
      const ids = { external_customer_id: organizationId, external_id: organizationId }
      await require('subscriptions', { subscription: { ...ids, plan_code: plans[customer.plan] } })
    }
    told.set(organizationId, state)
  }

  /** Those that Lago has already are left out, and the others sent again: it takes all of a batch or nothing. */
  async function deliver(events: readonly OutboxEvent[]): Promise<void> {
    const { status, text } = await ask('events/batch', { events: events.map((event) => usageOf(event, metric)) })
    if (status >= 200 && status < 300) return
    const missing = status === 422 ? withoutKnown(events, text) : null
    if (missing === null) throw new Error(`events/batch: ${refusalOf(status, text)}`)
    if (missing.length > 0) await deliver(missing)
  }

  return {
    types,
    mostAtOnce: MOST,
    async send(events) {
      const [first] = events
      if (first?.organizationId == null) return
      await introduce(first.organizationId)
      await deliver(events)
    },
    close: () => post.close(),
  }
}

async function findCustomer({ query }: Pick<Database, 'query'>, organizationId: string): Promise<Customer> {
  const { rows } = await sql<Customer>`
    select o.name, coalesce(s.subscription_plan, 'platform') as plan, coalesce(s.status = 'canceled', false) as "isOver"
    from organizations o
    left join lateral (
      select subscription_plan, status from organization_subscriptions where org_id = o.id
      order by status <> 'canceled' desc, created_at desc limit 1) s on true
    where o.id = ${organizationId}`.execute(query)
  return rows[0]!
}

/** The same whenever it is sent: where Lago tells events by id and time, both are. */
function usageOf({ id, at, organizationId, userId, type, credits, data }: OutboxEvent, code: string) {
  const tokens = Number(data.input_tokens) + Number(data.output_tokens)
  const properties = {
    credits,
    cost: data.api_cost,
    tokens,
    input_tokens: data.input_tokens,
    output_tokens: data.output_tokens,
    model: data.model,
    provider: data.provider,
    endpoint: data.service_type,
    user_id: userId,
    org_id: organizationId,
    type,
  }
  const known = Object.fromEntries(Object.entries(properties).filter(([, value]) => value !== null))
  const timestamp = (at.getTime() / 1000).toFixed(3)
  return { transaction_id: id, external_subscription_id: organizationId, code, timestamp, properties: known }
}

/** What is left without the events that Lago says it has; null where it says anything else. */
function withoutKnown(events: readonly OutboxEvent[], text: string): OutboxEvent[] | null {
  const details = detailsOf(text)
  if (details === null) return null
  const known = new Set<number>()
  for (const [place, errors] of Object.entries(details)) {
    const { transaction_id: why, ...others } = errors as Record<string, unknown>
    const isKnown = Array.isArray(why) && why.every((one) => one === 'value_already_exist')
    if (!isKnown || why.length === 0 || Object.keys(others).length > 0) return null
    known.add(Number(place))
  }
  return known.size === 0 ? null : events.filter((_, place) => !known.has(place))
}

function detailsOf(text: string): Record<string, object> | null {
  try {
    const { error_details: details } = JSON.parse(text) as { error_details?: unknown }
    if (typeof details !== 'object' || details === null) return null
    const isByPlace = Object.entries(details).every(
      ([place, errors]) => /^\d+$/.test(place) && errors instanceof Object,
    )
    return isByPlace ? (details as Record<string, object>) : null
  } catch {
    return null
  }
}
