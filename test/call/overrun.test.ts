/**
 * How far a stream that is stopped runs over its money: by the frame in which the money ends, and by what stood in
 * the same 256 bytes. The whole stream comes as fast as it can,
 * much more of it than is covered, from a server that keeps no cap. docs/guarantees.md states what is measured here.
 */
import { expect, test } from 'vitest'
import { balanceOf } from '../support/call-books.ts'
import { rowOfRequest } from '../support/call-row.ts'
import { openCall } from '../support/open-call.ts'
import { useProduct } from '../support/product.ts'
import { rawStream, sse } from '../support/upstream-answers.ts'

const product = useProduct(() => ({
  tollgate: { caps: { stream_output_tokens: 64, least_output_tokens: 16 } },
  litellm_settings: { num_retries: 0 },
}))

/** Input is free, an output token is 0.03 credits. */
const STREAM = { model: 'exact', messages: [{ role: 'user', content: 'Go on' }], stream: true }

test.for([
  // tokens in a frame, frames in a piece, the caller's cap, tokens at most
  { tokens: 1, glued: 1, max_tokens: undefined, most: 115 },
  { tokens: 1, glued: 2_000, max_tokens: undefined, most: 115 },
  // A piece is read in parts of 256 bytes at least: here two frames.
  { tokens: 20, glued: 100, max_tokens: undefined, most: 140 },
  { tokens: 400, glued: 5, max_tokens: undefined, most: 400 },
  { tokens: 1, glued: 2_000, max_tokens: 10_000, most: 115 },
  // All of this cap is covered: a quarter and sixteen are left to how servers count.
  { tokens: 1, glued: 2_000, max_tokens: 60, most: 93 },
])(
  'A stream is passed on to $most tokens at most: $tokens tokens a frame, $glued frames a piece, cap $max_tokens',
  async (given) => {
    const { db, upstream, tollgate } = product
    // 113 tokens.
    const acme = await db.seedOrganization({ credits: 1_000, users: { alice: '3.4' } })
    const frame = sse({ model: 'exact', choices: [{ index: 0, delta: { content: ' word'.repeat(given.tokens) } }] })
    const piece = frame.repeat(given.glued)
    upstream.respond(rawStream(Array(Math.ceil(2_000 / given.tokens / given.glued)).fill(piece)))
    const call = openCall(tollgate, acme.keys.alice, { ...STREAM, max_tokens: given.max_tokens })
    const { body, complete } = await call.closed
    expect(complete).toBe(true)
    const shown = body.split(' word').length - 1
    const covered = given.max_tokens === 60 ? 60 : 113
    expect(shown).toBeGreaterThanOrEqual(Math.min(covered, given.most))
    expect(shown).toBeLessThanOrEqual(given.most)
    const charged = (shown * 0.03).toFixed(6)
    expect(await rowOfRequest(product, call.requestId)).toMatchObject({ credits_used: charged, outcome: 'stopped' })
    expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ used: charged, held: '0.000000' })
  },
)
