/** The books' row of a call whose caller never saw the call's id: one that left. */
import { expect, vi } from 'vitest'
import type { CallRow } from './call-books.ts'
import type { Product } from './product.ts'

/** The one row of a call, by the X-Request-ID it was sent with, once the call is over and booked. */
export async function rowOfRequest({ db, tollgate }: Product, requestId: string): Promise<CallRow> {
  await tollgate.outputMatches(new RegExp(`"request_id":"${requestId}".*"outcome":`))
  // A settlement that takes longer than an answer waits for it is still on its way.
  return vi.waitFor(
    async () => {
      const { rows } = await db.pool.query<CallRow>('select * from credit_usage_attribution where request_id = $1', [
        requestId,
      ])
      expect(rows, `the rows of the call with request id ${requestId}`).toHaveLength(1)
      return rows[0] as CallRow
    },
    { timeout: 10_000, interval: 20 },
  )
}
