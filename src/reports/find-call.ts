/** One past or running call, as its caller may see it: own calls; an organization's admin all of theirs; the operator every one. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { isUuid } from '../db/uuid.ts'
import { TollgateError } from '../http/errors.ts'
import type { Caller } from '../identity/caller.ts'
import { can } from '../identity/permissions.ts'
import { creditsToMicro, parseDecimal, trimDecimal } from '../metering/money.ts'

/** @throws {TollgateError} 404 for a call that does not exist or is someone else's. */
export async function findCall(database: Database, caller: Caller, callId: string): Promise<CallReport> {
  const call = isUuid(callId) ? ((await findCharged(database, callId)) ?? (await findRunning(database, callId))) : null
  if (call === null || !mayView(caller, call)) throw noCall()
  return call
}

export function noCall(): TollgateError {
  return new TollgateError(
    404,
    'call_not_found',
    'There is no such call among those you may see. The id is in the x-litellm-call-id header of every response.',
  )
}

function mayView(caller: Caller, call: CallReport): boolean {
  if (can(caller, 'calls:read_organization', call.organization_id)) return true
  return call.user_id === caller.userId && can(caller, 'calls:read_own', call.organization_id)
}

interface Whose {
  object: 'call'
  call_id: string
  organization_id: string
  user_id: string
}

/** Amounts are decimals: `credits` in credits, `cost`, `api_cost` and `markup` in dollars. */
export interface SettledCall extends Whose {
  request_id: string | null
  /** As the client named it. */
  session_id: string | null
  status: 'settled'
  outcome: string | null
  model: string | null
  credits: string
  cost: string
  api_cost: string
  markup: string
  /** Credits that were given back; left out where none were. */
  refunded_credits?: string
  provenance: string | null
  usage: unknown
  details: Record<string, unknown>
  settled_at: string
}

/** A call that is running, or that ended without a charge. */
export interface UnsettledCall extends Whose {
  status: string
  held_credits: string
  started_at: string
}

export type CallReport = SettledCall | UnsettledCall

async function findCharged(database: Database, callId: string): Promise<SettledCall | null> {
  const rows = await database.query
    .selectFrom('credit_usage_attribution')
    .select([
      'org_id',
      'user_id',
      'entry',
      'credits_used',
      'service_name',
      'api_cost',
      'markup_applied',
      'request_id',
      'provenance',
      'outcome',
      'details',
      'created_at',
    ])
    .where('call_id', '=', callId)
    .where('source', '=', 'proxy')
    .orderBy('created_at')
    .execute()
  const charge = rows.find((row) => row.entry === 'charge') ?? rows[0]
  if (charge === undefined) return null
  const credits = rows.reduce((sum, row) => sum + creditsToMicro(row.credits_used), 0n)
  const refunded = await findRefunded(database, callId)
  const { usage, session_id = null, ...details } = (charge.details ?? {}) as Record<string, unknown>
  return {
    object: 'call',
    call_id: callId,
    request_id: charge.request_id,
    session_id: session_id as string | null,
    status: 'settled',
    outcome: charge.outcome,
    organization_id: charge.org_id,
    user_id: charge.user_id,
    model: charge.service_name,
    credits: trimDecimal(credits, 6),
    cost: trimDecimal(credits, 9),
    api_cost: trimDecimal(parseDecimal(charge.api_cost, 9), 9),
    markup: trimDecimal(parseDecimal(charge.markup_applied, 9), 9),
    ...(refunded === 0n ? {} : { refunded_credits: trimDecimal(refunded, 6) }),
    provenance: charge.provenance,
    usage: usage ?? null,
    details,
    settled_at: charge.created_at.toISOString(),
  }
}

/** Microcredits. */
async function findRefunded(database: Database, callId: string): Promise<bigint> {
  const { rows } = await sql<{ credits: string }>`
    select coalesce(sum(pool_total), 0)::text as credits from tollgate.ledger_journal
    where call_id = ${callId} and kind = 'refund'`.execute(database.query)
  return creditsToMicro(rows[0]?.credits ?? '0')
}

async function findRunning(database: Database, callId: string): Promise<UnsettledCall | null> {
  const hold = await database.query
    .selectFrom('tollgate.ledger_holds')
    .select(['org_id', 'user_id', 'state', 'held_credits', 'created_at'])
    .where('call_id', '=', callId)
    .executeTakeFirst()
  if (hold === undefined) return null
  return {
    object: 'call',
    call_id: callId,
    status: hold.state === 'open' ? 'running' : hold.state,
    organization_id: hold.org_id,
    user_id: hold.user_id,
    held_credits: trimDecimal(creditsToMicro(hold.held_credits), 6),
    started_at: hold.created_at.toISOString(),
  }
}
