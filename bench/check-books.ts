/**
 * Whether the money is right after a round: what clients and provider counted is what the books say, to the microcredit, nothing
 * is held any more, and the audit finds nothing. This, unlike speed, fails a run.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { creditsToMicro, formatDecimal } from '../src/metering/money.ts'

/** What should be on the books; members left out are not compared. */
export interface Expected {
  calls: number
  /** Microcredits. */
  charged: bigint
  promptTokens?: number
  completionTokens?: number
}

const SETTLE_PATIENCE_MS = 60_000

/** Returns a line for each thing that is wrong. Totals are of the whole database, from its first call. */
export async function checkBooks(client: pg.Client, expected: Expected): Promise<string[]> {
  const wrong = [...(await heldStill(client)), ...(await differences(client, expected))]
  const { rows } = await client.query('select * from tollgate.ledger_audit() limit 5')
  return [...wrong, ...rows.map((row) => `the audit: ${JSON.stringify(row)}`)]
}

/** A settlement that took longer than its answer waited is still on its way; no event tells when the last one is booked. */
async function heldStill(client: pg.Client): Promise<string[]> {
  const patience = performance.now() + SETTLE_PATIENCE_MS
  for (;;) {
    const { rows } = await client.query<{ holds: number; held: string }>(
      `select (select count(*)::int from tollgate.ledger_holds where state = 'open') as holds,
        (select coalesce(sum(held_credits), 0) from organization_credit_pools)
          + (select coalesce(sum(held_credits), 0) from user_credit_allocations)
          + (select coalesce(sum(held), 0) from tollgate.ledger_limits) as held`,
    )
    const { holds = 0, held = '0' } = rows[0] ?? {}
    if (holds === 0 && creditsToMicro(held) === 0n) return []
    if (performance.now() > patience) return [`still held when nothing runs: ${held} credits, ${holds} open holds`]
    await sleep(50)
  }
}

async function differences(client: pg.Client, expected: Expected): Promise<string[]> {
  const { rows } = await client.query<{ calls: string; charged: string; prompt: string; completion: string }>(
    `select count(*) as calls, coalesce(sum(credits_used), 0) as charged,
      coalesce(sum((details -> 'usage' ->> 'prompt_tokens')::bigint), 0) as prompt,
      coalesce(sum((details -> 'usage' ->> 'completion_tokens')::bigint), 0) as completion
    from credit_usage_attribution`,
  )
  const booked = rows[0]
  if (booked === undefined) throw new Error('the books answered no row')
  const pairs: [string, string | undefined, string][] = [
    ['calls', `${expected.calls}`, booked.calls],
    ['credits', formatDecimal(expected.charged, 6), formatDecimal(creditsToMicro(booked.charged), 6)],
    ['prompt tokens', expected.promptTokens?.toString(), booked.prompt],
    ['completion tokens', expected.completionTokens?.toString(), booked.completion],
  ]
  return pairs
    .filter(([, should, is]) => should !== undefined && should !== is)
    .map(([what, should, is]) => `${what}: ${should} were counted, ${is} are on the books`)
}
