/** Everything that members, admins, the operator and Stripe do to an organization, chosen at random, over HTTP and SQL. */

import { setTimeout as sleep } from 'node:timers/promises'
import { paidSession, sendEvent } from '../support/stripe.ts'
import { MASTER_KEY } from '../support/tollgate.ts'
import { exactJson, micro } from './exact-json.ts'
import type { Company, Member, World } from './world.ts'

const BILLING = '/api/v1/org-billing'

/** What one operation works with. */
export interface Scene {
  world: World
  company: Company
  member: Member
  owner: Member
  /** 0 to below 1, the next one of the seed. */
  chance: () => number
  /** A whole number from 1. */
  upTo(most: number): number
  /** No two are the same in a run. */
  unique: () => string
  /** @throws where the status is not one of those that can come of it. */
  send(request: Sent): Promise<Received>
}

type Allowed = readonly (number | string)[]

export interface Sent {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  path: string
  key: string
  body?: unknown
  headers?: Record<string, string>
  /** What else than a success can come of it, by status or by code; asked for afterwards where others may change it meanwhile. */
  may?: Allowed | (() => Allowed)
  /** Goes to this process; any of them unless stated. */
  process?: number
}

export interface Received {
  status: number
  headers: Headers
  /** Numbers as they are written. */
  json: ReturnType<typeof JSON.parse>
  text: string
}

type Operation = (scene: Scene) => Promise<void>

/** How a call or a change of somebody can be refused who was removed or whose organization was suspended. */
function refusals({ company, member }: Scene): number[] {
  return [...(member.wasRemoved ? [401, 403] : []), ...(company.wasSuspended ? [403] : [])]
}

async function call(scene: Scene): Promise<void> {
  const { company, member, chance, unique, send, upTo } = scene
  const stream = chance() < 0.4
  const body = {
    model: chance() < 0.7 ? 'gpt-4o-mini' : 'exact',
    messages: [{ role: 'user', content: `${unique()} ${'word '.repeat(upTo(40))}` }],
    max_tokens: 100 + upTo(100),
    power_level: ['eco', 'balanced', 'precision'][upTo(3) - 1],
    stream,
    ...(stream ? { stream_options: { include_usage: true } } : {}),
  }
  const repeated = chance() < 0.1
  const headers: Record<string, string> = repeated ? { 'idempotency-key': unique() } : {}
  const request = { method: 'POST', path: '/v1/chat/completions', key: member.key, body, headers } as const
  // A plan of own keys, of which nobody has one here.
  const may = () => [402, 'byok_key_missing', ...refusals(scene), ...(repeated ? [409] : [])]
  const answers = await Promise.all((repeated ? [1, 2] : [1]).map(() => send({ ...request, may })))
  const answered = answers.find(({ status }) => status === 200)
  if (answered === undefined) return
  const cost = stream ? costOfStream(answered.text) : micro(answered.headers.get('x-credits-used') ?? '')
  company.used += cost
  company.charges += 1
  company.calls.push({ id: answered.headers.get('x-litellm-call-id') ?? '', refundable: cost })
}

/** Dollars in the last frame with usage: a thousandth of the credits. */
function costOfStream(text: string): bigint {
  const dollars = /"cost":([\d.e-]+)/.exec(text)?.[1]
  if (dollars === undefined) throw new Error(`a stream says no cost: ${text.slice(-300)}`)
  return BigInt(Math.round(Number(dollars) * 1e9))
}

async function deduct({ company, member, owner, unique, upTo, send, chance }: Scene): Promise<void> {
  const credits_used = upTo(30)
  const body = {
    org_id: company.id,
    user_id: member.userId,
    credits_used,
    service_type: ['valuation', 'property_search', 'company_enrichment'][upTo(3) - 1],
    request_id: unique(),
  }
  const may = [402, 403, ...(owner.wasRemoved ? [401] : [])]
  const request = { method: 'POST', path: `${BILLING}/credits/deduct`, key: owner.key, body, may } as const
  // The same twice at once, one on each process: one charge.
  const answers = await Promise.all((chance() < 0.3 ? [0, 1] : [0]).map((process) => send({ ...request, process })))
  if (!answers.some(({ status }) => status === 200)) return
  company.used += micro(credits_used)
  company.charges += 1
}

/** As LoopNet does, beside the proxy. */
async function deductBySql({ world, company, member, unique, upTo }: Scene): Promise<void> {
  const credits = (upTo(3_000) / 100).toFixed(2)
  try {
    await world.database.pool.query("select deduct_credits($1, $2, $3, 'bulk_export', 'loopnet', $4)", [
      company.id,
      member.userId,
      credits,
      unique(),
    ])
  } catch (error) {
    if (/^(?:Insufficient credits|No credit allocation|Organization .* is not active)/.test((error as Error).message))
      return
    throw error
  }
  company.used += micro(credits)
  company.charges += 1
}

async function addCredits({ company, unique, upTo, send, chance }: Scene): Promise<void> {
  const credits = 50 + upTo(500)
  const path = `${BILLING}/credits/${company.id}/add?credits=${credits}&purchase_amount=${(credits / 100).toFixed(2)}`
  const headers = { 'idempotency-key': unique() }
  const times = chance() < 0.3 ? [0, 1] : [0]
  await Promise.all(times.map((process) => send({ method: 'POST', path, key: MASTER_KEY, headers, process })))
  company.total += micro(credits)
}

async function buy(scene: Scene): Promise<void> {
  const { world, company, owner, send, upTo } = scene
  const amount = [10, 50, 100][upTo(3) - 1] ?? 10
  const metadata = {
    tollgate_org_id: company.id,
    tollgate_user_id: owner.userId,
    tollgate_ledger_id: await ledgerId(world),
    tollgate_credits: String({ 10: 10_000, 50: 55_000, 100: 120_000 }[amount]),
  }
  const body = { amount, success_url: 'https://shop.example/paid' }
  const path = '/api/v1/llm/credits/purchase'
  await send({ method: 'POST', path, key: owner.key, body, may: () => refusals({ ...scene, member: owner }) })
  const { session, payment_intent } = paidSession(world.stripe, amount * 100)
  // Stripe sends it twice, to either process.
  const outcomes = await Promise.all(
    world.urls.map((url) => sendEvent(url, 'checkout.session.completed', { ...session, metadata })),
  )
  if (
    outcomes
      .map(({ outcome }) => outcome)
      .sort()
      .join() !== 'booked,known'
  )
    throw new Error(`a purchase that came twice was ${JSON.stringify(outcomes)}`)
  company.total += micro(metadata.tollgate_credits)
  company.purchases.push({ paymentIntent: payment_intent, metadata, refunded: 0 })
}

async function ledgerId({ database }: World): Promise<string> {
  const { rows } = await database.pool.query<{ ledger_id: string }>('select ledger_id from tollgate.ledger_identity')
  return rows[0]?.ledger_id ?? ''
}

/** Part of a purchase goes back: the credits that nobody was given are taken, as far as they are there. */
async function refundPurchase({ world, company, upTo }: Scene): Promise<void> {
  const purchase = company.purchases.at(upTo(company.purchases.length || 1) - 1)
  if (purchase === undefined) return
  purchase.refunded += 100
  const { outcome } = await sendEvent(world.urls[0] ?? '', 'charge.refunded', {
    id: `ch_${purchase.paymentIntent}`,
    payment_intent: purchase.paymentIntent,
    metadata: purchase.metadata,
    amount_refunded: purchase.refunded,
  })
  if (outcome !== 'booked') throw new Error(`a refund of a purchase was ${outcome}`)
  // What was not there is owed, and suspends: nobody but the books knows how much was taken.
  company.wasSuspended = true
}

async function refundCall({ company, send, upTo }: Scene): Promise<void> {
  const made = company.calls.at(upTo(company.calls.length || 1) - 1)
  if (made === undefined || made.refundable < 2n) return
  const part = made.refundable / 2n
  made.refundable -= part
  const credits = `${part / 1_000_000n}.${String(part % 1_000_000n).padStart(6, '0')}`
  const body = { credits, reason: 'simulated' }
  await send({ method: 'POST', path: `/api/v1/admin/calls/${made.id}/refunds`, key: MASTER_KEY, body })
  company.total += part
}

async function allocate({ company, member, send, upTo }: Scene): Promise<void> {
  const reset_period = ['daily', 'weekly', 'monthly', 'never'][upTo(4) - 1]
  const body = { user_id: member.userId, allocated_credits: upTo(300), reset_period }
  const path = `${BILLING}/credits/${company.id}/allocate`
  await send({ method: 'POST', path, key: MASTER_KEY, body, may: [400, 409] })
}

async function changePlan({ company, send, upTo }: Scene): Promise<void> {
  const plan = ['platform', 'byok', 'hybrid'][upTo(3) - 1]
  await send({
    method: 'PUT',
    path: `${BILLING}/subscriptions/${company.id}/upgrade?new_plan=${plan}`,
    key: MASTER_KEY,
  })
}

async function removeAndBringBack({ company, member, owner, send }: Scene): Promise<void> {
  if (member === owner) return
  member.wasRemoved = true
  const members = `${BILLING}/organizations/${company.id}/members`
  await send({ method: 'DELETE', path: `${members}/${member.userId}`, key: MASTER_KEY, may: [404] })
  const body = { user_id: member.userId, role: 'member' }
  await send({ method: 'POST', path: members, key: MASTER_KEY, body, may: [409] })
}

async function suspendAndResume({ company, send }: Scene): Promise<void> {
  company.wasSuspended = true
  const path = `${BILLING}/organizations/${company.id}`
  await send({ method: 'POST', path: `${path}/suspend`, key: MASTER_KEY })
  await send({ method: 'POST', path: `${path}/resume`, key: MASTER_KEY })
}

/** Whatever else is under way, what one response says fits together. */
async function look(scene: Scene): Promise<void> {
  const { company, member, owner, send } = scene
  const get = (path: string, key: string) => send({ method: 'GET', path, key, may: [401, 403] })
  await get(`${BILLING}/billing/user`, member.key)
  await get('/api/v1/llm/credits', member.key)
  await get(`${BILLING}/credits/${company.id}/usage?days=7`, owner.key)
  const { json } = await get(`${BILLING}/billing/org/${company.id}`, MASTER_KEY)
  const { total_credits, allocated_credits, used_credits, available_credits } = json.credit_pool
  // A member who left while a call ran is not listed, and has what is held until the call ends.
  const isWhole = company.members.every(({ wasRemoved }) => !wasRemoved)
  const left = (json.user_allocations as { remaining_credits: string }[]).map((one) => micro(one.remaining_credits))
  const fits =
    micro(available_credits) === micro(total_credits) - micro(allocated_credits) &&
    (!isWhole || micro(allocated_credits) - micro(used_credits) === left.reduce((sum, one) => sum + one, 0n))
  if (!fits) throw new Error(`a dashboard contradicts itself: ${JSON.stringify(json)}`)
}

/** In a hundred. */
const SHARES: readonly (readonly [number, string, Operation])[] = [
  [50, 'call', call],
  [12, 'deduct', deduct],
  [6, 'deduct by SQL', deductBySql],
  [10, 'dashboards', look],
  [6, 'allocate', allocate],
  [4, 'add credits', addCredits],
  [3, 'refund a call', refundCall],
  [3, 'change the plan', changePlan],
  [2, 'buy', buy],
  [2, 'remove and bring back a member', removeAndBringBack],
  [1, 'refund a purchase', refundPurchase],
  [1, 'suspend and resume', suspendAndResume],
]

/** The operation at a point from 0 to below 1. */
export function operationAt(point: number): { name: string; perform: Operation } {
  let rest = point * 100
  for (const [share, name, perform] of SHARES) {
    rest -= share
    if (rest < 0) return { name, perform }
  }
  return { name: 'call', perform: call }
}

interface SenderOptions {
  urls: readonly string[]
  chance: () => number
  /** Counts an answer that the ledger was not there; false where these are too many. */
  onBusy(): boolean
}

/** Sends over HTTP; a status that cannot come of it is a mistake. */
export function sender({ urls, chance, onBusy }: SenderOptions): Scene['send'] {
  const send: Scene['send'] = async (asked) => {
    const { method, path, key, body, headers = {}, may = [], process } = asked
    const url = urls[process ?? Math.floor(chance() * urls.length)] ?? urls[0]
    const response = await fetch(`${url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    const { status } = response
    const json = text.startsWith('{') || text.startsWith('[') ? exactJson(text) : null
    // Nothing was begun: on a machine that is busy with other things too, a client comes again as it is told to.
    if (json?.error?.code === 'ledger_unavailable' && onBusy()) {
      await sleep(1_000 * Number(response.headers.get('retry-after') ?? 1))
      return send(asked)
    }
    const allowed = typeof may === 'function' ? may() : may
    if (status >= 300 && !allowed.includes(status) && !allowed.includes(json?.error?.code))
      throw new Error(`${method} ${path}: ${status} ${text.slice(0, 400)}`)
    return { status, headers: response.headers, json, text }
  }
  return send
}
