/** A Lago on loopback, as its OpenAPI description has it: customers, subscriptions, and events of which each is taken once. */
import type { Received, Receiver } from './receiver.ts'

export const API_KEY = 'lago-key-of-the-test'

export interface LagoEvent {
  transaction_id: string
  external_subscription_id: string
  code: string
  timestamp: string
  properties: Record<string, unknown>
}

export interface ScriptedLago {
  customers: Map<string, { external_id: string; name: string }>
  /** By external_id; every plan it had, the last one is in force. */
  subscriptions: Map<string, string[]>
  events: LagoEvent[]
}

/** @param plans the codes that Lago knows. */
export function scriptLago(receiver: Receiver, plans: readonly string[]): ScriptedLago {
  const lago: ScriptedLago = { customers: new Map(), subscriptions: new Map(), events: [] }
  receiver.answer = (one) => answer(lago, plans, one)
  return lago
}

function answer(lago: ScriptedLago, plans: readonly string[], { method, path, headers, body }: Received) {
  if (headers.authorization !== `Bearer ${API_KEY}`)
    return { status: 401, body: { status: 401, error: 'Unauthorized' } }
  const sent = JSON.parse(body)
  if (method === 'POST' && path === '/api/v1/customers') {
    const { customer } = sent
    if (typeof customer?.external_id !== 'string') return invalid({ external_id: ['value_is_mandatory'] })
    lago.customers.set(customer.external_id, customer)
    return { status: 200, body: { customer } }
  }
  if (method === 'POST' && path === '/api/v1/subscriptions') return subscribe(lago, plans, sent.subscription)
  if (method === 'POST' && path === '/api/v1/events/batch') return take(lago, sent.events)
  return { status: 404, body: { status: 404, error: 'Not Found' } }
}

function subscribe(lago: ScriptedLago, plans: readonly string[], subscription: Record<string, string>) {
  const { external_customer_id: customer = '', external_id: id = '', plan_code: plan = '' } = subscription
  if (!lago.customers.has(customer) || !plans.includes(plan))
    return { status: 404, body: { status: 404, error: 'Not Found', code: 'plan_not_found' } }
  const before = lago.subscriptions.get(id) ?? []
  if (before.at(-1) !== plan) lago.subscriptions.set(id, [...before, plan])
  return { status: 200, body: { subscription: { external_id: id, plan_code: plan, status: 'active' } } }
}

/** All or nothing, with the errors by place. */
function take(lago: ScriptedLago, events: readonly LagoEvent[]) {
  if (events.length > 100) return invalid({ events: ['too_many_events'] })
  const has = (event: LagoEvent) => lago.events.some(({ transaction_id: id }) => id === event.transaction_id)
  const errors = events.flatMap((event, place): [number, object][] => {
    if (!/^\d+(\.\d+)?$/.test(event.timestamp)) return [[place, { timestamp: ['invalid_format'] }]]
    return has(event) ? [[place, { transaction_id: ['value_already_exist'] }]] : []
  })
  if (errors.length > 0) return invalid(Object.fromEntries(errors))
  lago.events.push(...events)
  return { status: 200, body: { events } }
}

function invalid(details: object) {
  const body = { status: 422, error: 'Unprocessable Entity', code: 'validation_errors', error_details: details }
  return { status: 422, body }
}
