/** Disputes of payments. Events about one come twice, late and in any order: once the money is back, an older event changes nothing. */
import { sql } from 'kysely'
import { formatDecimal } from '../metering/money.ts'
import type { ChangeTransaction } from './change.ts'

export interface Dispute {
  id: string
  cents: number
  /** The money came back, and stays. */
  isOver: boolean
}

/** Call it with the payment locked. @returns cents that are disputed of the payment now, by all its disputes. */
export async function noteDispute(
  transaction: ChangeTransaction,
  paymentId: string,
  dispute: Dispute,
): Promise<bigint> {
  const { id, cents, isOver } = dispute
  await sql`
    insert into tollgate.payment_disputes as d (id, payment_id, amount, is_over)
    values (${id}, ${paymentId}, ${formatDecimal(BigInt(cents), 2)}::numeric, ${isOver})
    on conflict (id) do update set is_over = d.is_over or excluded.is_over, amount = greatest(d.amount, excluded.amount)`.execute(
    transaction,
  )
  if (!isOver)
    await sql`
      insert into tollgate.outbox_events (type, org_id, data, once_key)
      select 'payment.disputed', p.org_id, jsonb_build_object('payment', p.id, 'dispute', ${id}::text,
        'dollars', ${formatDecimal(BigInt(cents), 2)}::text), ${`payment.disputed/${id}`}
      from tollgate.payments p where p.id = ${paymentId}
      on conflict (once_key) where once_key is not null do nothing`.execute(transaction)
  const { rows } = await sql<{ cents: string }>`
    select coalesce(sum(amount) * 100, 0)::bigint as cents from tollgate.payment_disputes
    where payment_id = ${paymentId} and not is_over`.execute(transaction)
  return BigInt(rows[0]?.cents ?? 0)
}
