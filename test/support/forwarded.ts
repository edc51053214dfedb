/** Requests written byte by byte, and what became of them: for tests of what is forwarded. */
import { expect } from 'vitest'
import { rowOfCall, rowsOf } from './call-books.ts'
import type { Product } from './product.ts'
import { type CallAnswer, postChat } from './tollgate.ts'
import { chat } from './upstream-answers.ts'

export const MESSAGES = '"messages":[{"role":"user","content":"Say hello"}]'

/** A request's text: `rest` as written, for JSON.stringify would not write half of it. */
export const written = (rest: string, model = 'gpt-4o-mini') => `{"model":"${model}",${MESSAGES}${rest}}`

export interface Forwarded {
  answer: CallAnswer
  /** Bodies that reached the provider. */
  sent: string[]
  orgId: string
}

/** Sends a body for an organization of its own, whose alice has 500 credits. */
export async function forward({ db, upstream, tollgate }: Product, body: string): Promise<Forwarded> {
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const before = upstream.requests.length
  upstream.respond(chat())
  const answer = await postChat(tollgate, acme.keys.alice, body)
  return { answer, sent: upstream.requests.slice(before).map((one) => one.body.toString()), orgId: acme.id }
}

export async function expectNothingHappened({ db }: Product, { sent, orgId }: Forwarded): Promise<void> {
  expect(sent).toEqual([])
  expect(await rowsOf(db.pool, orgId)).toEqual([])
  const { rows } = await db.pool.query('select 1 from ledger_holds where org_id = $1', [orgId])
  expect(rows).toEqual([])
}

/** Credits. */
export async function heldFor({ db }: Product, { answer }: Forwarded): Promise<number> {
  const { details } = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
  return Number(details.held)
}
