/** Performs one trick and says what became of it, from the books and from what the provider saw. */
import { setTimeout as sleep } from 'node:timers/promises'
import { refundCall } from '../../src/billing/refund-call.ts'
import { createServiceKey } from '../../src/billing/service-keys.ts'
import { NO_LIMITS } from '../../src/identity/no-limits.ts'
import { creditsToMicro } from '../../src/metering/money.ts'
import { type Actor, callProduct, type Seen, send } from './actor.ts'
import { type Bill, trueCharge } from './bill.ts'
import { judge } from './judge.ts'
import type { Stage } from './stage.ts'
import type { Ask, Trick } from './trick.ts'

const PLENTY = 1_000_000
const MICRO = 1_000_000
const SETTLED_WITHIN_MS = 5_000

/** Microcredits. */
export interface Observed {
  truth: bigint
  held: bigint
  charged: bigint
  remaining: bigint
  provenances: readonly string[]
  /** Requests that reached the provider, and holds that were placed. */
  calls: number
  holds: number
  /** Of the last call. */
  last: Seen
}

export interface Result {
  theme: string
  trick: Trick
  observed: Observed
  /** What the promise says and did not come; null: kept. */
  broken: string | null
}

export async function perform(stage: Stage, theme: string, trick: Trick): Promise<Result> {
  const { tollgate, upstream, database } = stage
  const credits = BigInt(Math.round((trick.credits ?? PLENTY) * MICRO))
  const plan = trick.plan ?? 'platform'
  const { organization, keys } = await stage.payer(plan, credits, trick.users)
  const key = keys[0]!
  const bills: Bill[] = []
  let calls = 0
  let fault: unknown = null
  let last: Seen = { status: 0, headers: {}, body: '' }
  upstream.respond(async (request) => {
    calls += 1
    try {
      const { script, bill } = await trick.provider(request, calls)
      if (bill !== null) bills.push(bill)
      return script
    } catch (error) {
      // The product sees a connection that ends; the trick must not pass by that.
      fault ??= error
      throw error
    }
  })
  const actor: Actor = {
    organization,
    key,
    keys,
    async call(ask) {
      const next = upstream.requests.length + 1
      last = await callProduct(tollgate.url, key, ask, () => upstream.received(next))
      return last
    },
    async service() {
      const { rows } = await database.pool.query('select name from organizations where id = $1', [organization])
      const asked = {
        organization: rows[0].name,
        name: `service-${organization}`,
        user: 'service',
        actAs: 'members' as const,
      }
      const made = { ...asked, models: null, routes: ['llm'], limits: NO_LIMITS, expiresAt: null }
      return (await createServiceKey(database, made, { actor: 'attack', ip: null, requestId: null })).key
    },
    async other() {
      const other = await stage.payer(plan, BigInt(PLENTY) * BigInt(MICRO))
      return { organization: other.organization, key: other.keys[0]! }
    },
    async refund(callId) {
      const refund = { callId, credits: null, reason: 'a trick', actor: 'attack' }
      await database.query.transaction().execute((transaction) => refundCall(transaction, refund))
    },
    async charged() {
      await untilSettled(stage, organization)
      return (await readBooks(stage, organization)).charged
    },
    post: (path, body) => send(`${tollgate.url}${path}`, key, JSON.stringify(body), {}),
    async subscribe(status) {
      const update = 'update organization_subscriptions set status = $2 where org_id = $1'
      await database.pool.query(update, [organization, status])
    },
  }
  if (typeof trick.act === 'function') await trick.act(actor)
  else await actor.call(trick.act satisfies Ask)
  await untilSettled(stage, organization)
  const booked = await readBooks(stage, organization)
  const observed = { ...booked, truth: trueCharge(bills, trick.factor ?? 1_500n), calls, last }
  const broken = fault === null ? judge(trick, observed) : `the provider: ${String(fault)}`
  return { theme, trick, observed, broken }
}

/** A call whose caller left is settled on its own time. */
async function untilSettled({ database }: Stage, organization: string): Promise<void> {
  const give = performance.now() + SETTLED_WITHIN_MS
  for (;;) {
    const { rows } = await database.pool.query<{ open: string }>(
      `select count(*) as open from tollgate.ledger_holds where org_id = $1 and state = 'open'`,
      [organization],
    )
    if (rows[0]?.open === '0') return
    if (performance.now() > give) throw new Error('a call was not settled within five seconds')
    await sleep(5)
  }
}

interface BooksRow {
  charged: string
  held: string
  provenances: string[] | null
  holds: string
  remaining: string
}

async function readBooks(
  { database }: Stage,
  organization: string,
): Promise<Pick<Observed, 'held' | 'charged' | 'remaining' | 'provenances' | 'holds'>> {
  const { rows } = await database.pool.query<BooksRow>(
    `select (select coalesce(sum(credits_used), 0) from credit_usage_attribution where org_id = $1) as charged,
            (select coalesce(sum((details ->> 'held')::numeric), 0) from credit_usage_attribution where org_id = $1) as held,
            (select array_agg(distinct coalesce(provenance, outcome))
               from credit_usage_attribution where org_id = $1) as provenances,
            (select count(*) from tollgate.ledger_holds where org_id = $1) as holds,
            (select sum(remaining_credits) from user_credit_allocations where org_id = $1) as remaining`,
    [organization],
  )
  const row = rows[0]
  if (row === undefined) throw new Error('no books')
  const { charged, held, provenances, holds, remaining } = row
  return {
    charged: creditsToMicro(charged),
    held: creditsToMicro(held),
    remaining: creditsToMicro(remaining),
    provenances: provenances ?? [],
    holds: Number(holds),
  }
}
