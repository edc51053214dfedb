/** One hold: the gate every paid call passes. See sql/000004-ledger-operations.sql, ledger_hold. */
import type pg from 'pg'
import { TollgateError } from '../http/errors.ts'
import { creditsToMicro, formatDecimal, trimDecimal } from '../metering/money.ts'
import type { Hold, HoldRequest } from './ledger.ts'
import { storableJson } from './storable.ts'

interface HoldRow {
  outcome: 'held' | 'no_allocation' | 'suspended' | 'insufficient' | 'in_flight' | 'limit'
  held: string | null
  input: string | null
  required: string | null
  available: string | null
  remaining: string | null
  limit_kind: string | null
  key_used: string | null
}

const STATEMENT = {
  name: 'ledger_hold',
  text: 'select * from ledger_hold($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)',
}

/** @throws {TollgateError} when refused; whatever pg throws when the database can't answer. */
export async function hold(pool: pg.Pool, owner: string, request: HoldRequest): Promise<Hold> {
  const amounts = [request.input, request.inputBytes, request.output, request.least].map((value) =>
    formatDecimal(value, 6),
  )
  const { rows } = await pool.query<HoldRow>({
    ...STATEMENT,
    values: [
      request.callId,
      owner,
      request.organizationId,
      request.userId,
      ...amounts,
      keyLimit(request.keyId),
      storableJson(request.context),
    ],
  })
  const row = rows[0]
  if (row === undefined) throw new Error('ledger_hold answered no row')
  if (row.outcome !== 'held') throw refusal(row)
  return {
    callId: request.callId,
    held: creditsToMicro(row.held ?? '0'),
    input: creditsToMicro(row.input ?? '0'),
    remaining: creditsToMicro(row.remaining ?? '0'),
    keySpend: row.key_used === null ? null : creditsToMicro(row.key_used),
  }
}

/** The key's own row of ledger_limits: without a limit it only counts. */
function keyLimit(keyId: string | null): string | null {
  return keyId === null ? null : JSON.stringify([{ kind: 'key', id: keyId, window_start: '1970-01-01T00:00:00Z' }])
}

function refusal(row: HoldRow): TollgateError {
  const required = trimDecimal(creditsToMicro(row.required ?? '0'), 6)
  const available = trimDecimal(creditsToMicro(row.available ?? '0'), 6)
  switch (row.outcome) {
    case 'no_allocation':
      return new TollgateError(
        403,
        'no_allocation',
        'No credit allocation found for this user in this organization. Ask an admin of the organization to allocate credits.',
      )
    case 'suspended':
      return new TollgateError(
        403,
        'organization_suspended',
        'This organization is not active. Ask its owner or the operator.',
      )
    case 'in_flight':
      return new TollgateError(
        402,
        'credits_in_flight',
        `Insufficient credits for now: this call needs at least ${required} credits and ${available} are free, ` +
          'because your running calls hold the rest. Try again when one of them has finished.',
        { headers: { 'Retry-After': '1', 'x-should-retry': 'true' }, fields: { required, available } },
      )
    case 'limit': {
      const retry = 60
      return new TollgateError(
        429,
        'budget_exceeded',
        `Budget has been exceeded: this call needs at least ${required} credits and the limit '${row.limit_kind}' leaves ${available}.`,
        {
          type: 'budget_exceeded',
          headers: {
            'Retry-After': `${retry}`,
            'X-RateLimit-Reset': `${Math.floor(Date.now() / 1000) + retry}`,
            'x-should-retry': 'false',
          },
          fields: { required, available, limit: row.limit_kind },
        },
      )
    }
    default:
      return new TollgateError(
        402,
        'insufficient_credits',
        `Insufficient credits: this call needs at least ${required} credits and ${available} are available. ` +
          'Ask an admin of your organization to allocate more.',
        { headers: { 'x-should-retry': 'false' }, fields: { required, available } },
      )
  }
}
