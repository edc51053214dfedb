/** Callers that leave: the upstream is stopped or its answer awaited, and what was used is charged once, never more. */
import { afterAll, describe, expect, test } from 'vitest'
import { openai } from '../../providers/openai.ts'
import { inputTexts } from '../../src/endpoints/chat-completions/estimate-input.ts'
import { countText } from '../../src/metering/count-text.ts'
import { formatDecimal } from '../../src/metering/money.ts'
import { createTokenizer } from '../../src/metering/tokenizer.ts'
import { balanceOf } from '../support/call-books.ts'
import { rowOfRequest } from '../support/call-row.ts'
import { openCall } from '../support/open-call.ts'
import { useProduct } from '../support/product.ts'
import { get } from '../support/tollgate.ts'
import { chatAnswer, chatStream, errorAnswer, rawStream, sse } from '../support/upstream-answers.ts'

const product = useProduct(() => ({ tollgate: { limits: { client_stall_seconds: 0.5 } } }))
const tokenizer = createTokenizer()
afterAll(() => tokenizer.close())

/** Microcredits a token of gpt-4o-mini on the platform plan: $0.15 and $0.60 a million, and 50 %. */
const INPUT = 225n
const OUTPUT = 900n
const WORDS = ['Seven', ' quiet', ' otters', ' unquestionably', ' paddled', ' über', ' the', ' lake', ' 🦦.']
const ASKED = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Tell me about otters, in nine words.' }] }
const STREAMED = { ...ASKED, stream: true }

const never = new Promise<never>(() => {})

/** Credits for the input as counted and these output tokens. */
async function credits(outputTokens: number): Promise<string> {
  const { texts, framing } = inputTexts(ASKED, openai.chat.unpackId)
  const input = framing + (await countText(tokenizer, texts, openai.model('gpt-4o-mini'), 'org'))
  return formatDecimal(BigInt(input) * INPUT + BigInt(outputTokens) * OUTPUT, 6)
}

describe('a stream of twelve frames', () => {
  test('The stream of twelve frames costs the amounts that the tests below expect.', async () => {
    expect(await credits(0)).toBe('0.003825')
    expect(await credits(await tokenizer.count('Seven quiet otters', 'o200k_base'))).toBe('0.007425')
  })

  test.for(Array.from({ length: 12 }, (_, k) => k))(
    'A stream of twelve frames that its caller leaves after %i frames is charged for what came.',
    async (k) => {
      const { db, upstream } = product
      const acme = await db.seedOrganization({ credits: 100, users: { alice: 10 } })
      upstream.respond(chatStream({ text: WORDS, gate: (i) => (i === k ? never : undefined) }))
      const before = upstream.requests.length
      const call = openCall(product.tollgate, acme.keys.alice, STREAMED)
      const request = await upstream.received(before + 1)
      if (k > 0) await call.frames(k)

      call.leave()

      await request.aborted
      const shown = WORDS.slice(0, Math.max(0, k - 1)).join('')
      const expected = await credits(await tokenizer.count(shown, 'o200k_base'))
      const row = await rowOfRequest(product, call.requestId)
      expect(row).toMatchObject({ credits_used: expected, provenance: 'estimated', outcome: 'client_disconnected' })
      expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ used: expected, held: '0.000000' })
      expect(upstream.requests).toHaveLength(before + 1)
    },
  )

  test('A stream of twelve frames is charged at what the provider stated when that came before the caller left.', async () => {
    const { db, upstream } = product
    const acme = await db.seedOrganization({ credits: 100, users: { alice: 10 } })
    const { frames } = chatStream({ text: WORDS, usage: { prompt_tokens: 20, completion_tokens: 10 } })
    const glued = [frames.slice(0, 12).join(''), 'data: [DONE]\n\n']
    upstream.respond(rawStream(glued, { gate: (i) => (i === 1 ? never : undefined) }))
    const before = upstream.requests.length
    const call = openCall(product.tollgate, acme.keys.alice, STREAMED)
    await call.frames(11)

    call.leave()

    await (await upstream.received(before + 1)).aborted
    const row = await rowOfRequest(product, call.requestId)
    expect(row).toMatchObject({
      credits_used: '0.013500',
      provenance: 'provider_usage',
      outcome: 'client_disconnected',
    })
  })
})

describe('a stream', () => {
  test('A stream that its caller leaves before the provider has answered is stopped, and its input is charged.', async () => {
    const { db, upstream } = product
    const acme = await db.seedOrganization({ credits: 100, users: { alice: 10 } })
    upstream.respond('silence')
    const before = upstream.requests.length
    const call = openCall(product.tollgate, acme.keys.alice, STREAMED)
    const request = await upstream.received(before + 1)

    call.leave()

    await request.aborted
    const row = await rowOfRequest(product, call.requestId)
    expect(row).toMatchObject({ credits_used: '0.003825', provenance: 'estimated', outcome: 'client_disconnected' })
  })

  test('A stream that its caller leaves while the provider refuses it consumed nothing and costs nothing.', async () => {
    const { db, upstream, tollgate } = product
    const acme = await db.seedOrganization({ credits: 100, users: { alice: 10 } })
    upstream.respond({ ...errorAnswer(429, { message: 'slow down' }), gate: (i) => (i === 1 ? never : undefined) })
    const before = upstream.requests.length
    const call = openCall(tollgate, acme.keys.alice, STREAMED)
    const request = await upstream.received(before + 1)
    // The refusal is read before these are answered.
    for (let turn = 0; turn < 5; turn += 1) await get(tollgate, null, '/health/liveliness')

    call.leave()

    await request.aborted
    const row = await rowOfRequest(product, call.requestId)
    expect(row).toMatchObject({
      credits_used: '0.000000',
      outcome: 'failed',
      details: { error: 'rate_limit', provider_status: 429 },
    })
  })

  test('A stream that its caller leaves is charged for all choices, and for tool calls too.', async () => {
    const { db, upstream } = product
    const acme = await db.seedOrganization({ credits: 100, users: { alice: 10 } })
    const call = { index: 0, id: 'call_1', type: 'function', function: { name: 'find_otters', arguments: '{"lake":"' } }
    const frames = [
      sse({ model: 'gpt-4o-mini', choices: [{ index: 0, delta: { content: 'Seven quiet' } }] }),
      sse({ model: 'gpt-4o-mini', choices: [{ index: 1, delta: { tool_calls: [call] } }] }),
      sse({ model: 'gpt-4o-mini', choices: [{ index: 0, delta: { content: ' otters' } }] }),
      'data: [DONE]\n\n',
    ]
    upstream.respond(rawStream(frames, { gate: (i) => (i === 3 ? never : undefined) }))
    const open = openCall(product.tollgate, acme.keys.alice, { ...STREAMED, n: 2 })
    await open.frames(3)

    open.leave()

    const output = await tokenizer.count('Seven quietfind_otters{"lake":" otters', 'o200k_base')
    const row = await rowOfRequest(product, open.requestId)
    expect(row).toMatchObject({ credits_used: await credits(output), provenance: 'estimated' })
  })

  test('A stream whose caller closes its side of the connection ends, and is charged for what was shown.', async () => {
    const { db, upstream } = product
    const acme = await db.seedOrganization({ credits: 100, users: { alice: 10 } })
    upstream.respond(chatStream({ text: WORDS, gate: (i) => (i === 4 ? never : undefined) }))
    const before = upstream.requests.length
    const call = openCall(product.tollgate, acme.keys.alice, STREAMED)
    await call.frames(4)

    call.halfClose()

    await (await upstream.received(before + 1)).aborted
    expect(await rowOfRequest(product, call.requestId)).toMatchObject({
      credits_used: '0.007425',
      provenance: 'estimated',
      outcome: 'client_disconnected',
    })
  })
})

/** Larger than what all sockets on the way can buffer; a token a frame. */
function largeStream(frames: number): { frames: string[]; sent: () => number; gate: (i: number) => undefined } {
  const padding = 'x'.repeat(65_536)
  const frame = sse({ model: 'gpt-4o-mini', choices: [{ index: 0, delta: { content: ' a' } }], obfuscation: padding })
  let sent = 0
  return {
    frames: Array.from({ length: frames }, () => frame),
    sent: () => sent,
    gate: (i) => {
      sent = i
      return undefined
    },
  }
}

describe('a caller that stops reading', () => {
  test('A caller that stops reading holds the provider back, is given up after the stall limit, and pays once for what was passed on.', async () => {
    const { db, upstream } = product
    const acme = await db.seedOrganization({ credits: 100, users: { alice: 50 } })
    const large = largeStream(2_000)
    upstream.respond(rawStream(large.frames, { gate: large.gate }))
    const before = upstream.requests.length
    const call = openCall(product.tollgate, acme.keys.alice, { ...STREAMED, max_tokens: 16_000 })
    call.stopReading()

    await (await upstream.received(before + 1)).aborted

    // 128 MiB were to be sent; the sockets' buffers hold a few.
    expect(large.sent()).toBeLessThan(600)
    const row = await rowOfRequest(product, call.requestId)
    expect(row).toMatchObject({ provenance: 'estimated', outcome: 'client_disconnected' })
    const { completion_tokens: shown } = row.details.usage as { completion_tokens: number }
    expect(shown).toBeGreaterThan(0)
    expect(shown).toBeLessThanOrEqual(large.sent())
    expect(row.credits_used).toBe(await credits(shown))
    expect((await balanceOf(db.pool, acme.id, 'alice')).used).toBe(row.credits_used)
    call.leave()
  })

  test('A caller that stops reading and one that reads slowly gets every byte.', async () => {
    const { db, upstream } = product
    const acme = await db.seedOrganization({ credits: 100, users: { alice: 50 } })
    const large = largeStream(160)
    const finish = sse({ model: 'gpt-4o-mini', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })
    upstream.respond(rawStream([...large.frames, finish, 'data: [DONE]\n\n']))
    const answer = await fetch(`${product.tollgate.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${acme.keys.alice}` },
      body: JSON.stringify({ ...STREAMED, max_tokens: 16_000 }),
    })

    const pieces: Uint8Array[] = []
    for await (const piece of answer.body ?? []) {
      pieces.push(piece)
      await new Promise((resolve) => setImmediate(resolve))
    }

    expect(Buffer.concat(pieces).equals(Buffer.from(`${large.frames.join('')}${finish}data: [DONE]\n\n`))).toBe(true)
    expect((await balanceOf(db.pool, acme.id, 'alice')).used).toBe(await credits(160))
  })
})

describe('a JSON call', () => {
  test('A JSON call whose caller leaves is finished, and charged at its usage.', async () => {
    const { db, upstream, tollgate } = product
    const acme = await db.seedOrganization({ credits: 100, users: { alice: 10 } })
    let answerNow = () => {}
    const gate = new Promise<void>((resolve) => {
      answerNow = resolve
    })
    upstream.respond(chatAnswer({ beforeHead: gate }))
    const before = upstream.requests.length
    const call = openCall(tollgate, acme.keys.alice, ASKED)
    const request = await upstream.received(before + 1)

    call.leave()
    await tellApart(tollgate)
    answerNow()

    await request.answered
    const row = await rowOfRequest(product, call.requestId)
    expect(row).toMatchObject({
      credits_used: '0.006975',
      provenance: 'provider_usage',
      outcome: 'client_disconnected',
    })
    expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ used: '0.006975', held: '0.000000' })
  })

  test('A JSON call whose caller left before it failed costs nothing.', async () => {
    const { db, upstream, tollgate } = product
    const acme = await db.seedOrganization({ credits: 100, users: { alice: 10 } })
    let answerNow = () => {}
    const gate = new Promise<void>((resolve) => {
      answerNow = resolve
    })
    upstream.respond({ status: 500, frames: ['{}'], beforeHead: gate })
    const before = upstream.requests.length
    const call = openCall(tollgate, acme.keys.alice, ASKED)
    await upstream.received(before + 1)

    call.leave()
    await tellApart(tollgate)
    answerNow()

    const row = await rowOfRequest(product, call.requestId)
    expect(row).toMatchObject({ credits_used: '0.000000', provenance: null, outcome: 'failed' })
    expect(upstream.requests).toHaveLength(before + 1)
  })
})

/** Once these are answered, the process has seen what happened on its sockets before they were sent. */
async function tellApart(tollgate: { url: string }): Promise<void> {
  for (let i = 0; i < 2; i += 1) await get(tollgate, null, '/health/liveliness')
}
