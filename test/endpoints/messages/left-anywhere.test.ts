/** A message whose caller leaves after any of its events: one row, and never more than the message read to its end would have cost. */
import { expect, test, vi } from 'vitest'
import { claude, MODEL } from '../../providers/anthropic-claude.ts'
import { rowsOf } from '../../support/call-books.ts'
import { useProduct } from '../../support/product.ts'
import { modelOn } from '../../support/tollgate.ts'
import type { Answer } from '../../support/upstream-answers.ts'

const product = useProduct((upstreamUrl) => ({
  models: [modelOn(upstreamUrl, MODEL, { model: `anthropic/${MODEL}` })],
  tollgate: { read_on_seconds: { anthropic: 0 } },
}))

const BODY = JSON.stringify({
  model: MODEL,
  max_tokens: 8_000,
  stream: true,
  messages: [{ role: 'user', content: 'How is the weather, and what time is it? '.repeat(20) }],
})
/** Of 100 tokens at $3 a million, 20 from the cache at $0.30, 30 at $15, and half of it on top: what reading it to its end costs. */
const WHOLE = 1.134

test.each(Array.from({ length: 18 }, (_, index) => index))(
  'A stream of a message that is left when %i events have come costs what came, once.',
  async (events) => {
    product.upstream.respond((request) => {
      const answer = claude(request) as Answer
      const gate = (at: number) => (at < events ? undefined : request.aborted)
      return { headers: { 'content-type': 'text/event-stream' }, frames: answer.frames, gate }
    })
    const { id, keys } = await product.db.seedOrganization({ credits: 10_000, users: { alice: 10_000 } })
    const before = product.upstream.requests.length
    const leaving = new AbortController()
    const response = fetch(`${product.tollgate.url}/v1/messages`, {
      method: 'POST',
      headers: { 'x-api-key': keys.alice, 'content-type': 'application/json' },
      body: BODY,
      signal: leaving.signal,
    })
    const left = response.catch(() => null)
    await product.upstream.received(before + 1)
    // What has come is read by now, where there is content; before that nothing of it is passed on.
    if (events > 3) await (await response).body?.getReader().read()
    leaving.abort()
    await left
    const row = await vi.waitFor(
      async () => {
        const rows = await rowsOf(product.db.pool, id)
        expect(rows).toHaveLength(1)
        return rows[0]!
      },
      { timeout: 10_000, interval: 20 },
    )
    expect(row.outcome).toBe('client_disconnected')
    expect(Number(row.credits_used)).toBeLessThanOrEqual(WHOLE)
    if (events > 3) expect(Number(row.credits_used)).toBeGreaterThan(0)
  },
)
