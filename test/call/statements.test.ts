/** How far a provider is believed: as far as what it states is possible, however small the quote was, and no further. */
import { describe, expect, test } from 'vitest'
import { rowOfCall } from '../support/call-books.ts'
import { rowOfRequest } from '../support/call-row.ts'
import { openCall } from '../support/open-call.ts'
import { useProduct } from '../support/product.ts'
import { type CallAnswer, modelOn, postChat } from '../support/tollgate.ts'
import { chatAnswer, chatStream, rawStream, type Script, sse } from '../support/upstream-answers.ts'

const product = useProduct((url) => ({
  models: [
    modelOn(url, 'doubted', {
      model: 'openai/exact',
      input_cost_per_token: 0,
      output_cost_per_token: 0.00002,
      statement: 'counted',
    }),
    modelOn(url, 'routed', { model: 'openrouter/openai/gpt-4o-mini' }),
    modelOn(url, 'searching', { model: 'openai/gpt-4o-mini-search-preview' }),
  ],
  tollgate: { tool_fees: { web_search: 0.01 } },
}))

/** With the frame of a message, 10 tokens of input; "Hello world" is 2 of output. */
const HELLO = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Say hello' }] }
const SHAPES = [{ stream: false }, { stream: true }]

async function ask(script: Script, body: object): Promise<CallAnswer> {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 100_000, users: { alice: 50_000 } })
  upstream.respond(script)
  return postChat(tollgate, acme.keys.alice, { ...HELLO, ...body })
}

const rowOf = (answer: CallAnswer) => rowOfCall(product.db.pool, answer.headers.get('x-litellm-call-id'))

function says(stream: boolean, usage: Record<string, unknown>, model = 'gpt-4o-mini'): Script {
  return stream ? chatStream({ usage, model }) : chatAnswer({ usage, model })
}

describe('a statement that is possible', () => {
  test.each(SHAPES)(
    'A statement that is possible is charged in full, to the cap that was sent (stream: $stream).',
    async ({ stream }) => {
      const usage = { prompt_tokens: 11, completion_tokens: 2_000, total_tokens: 2_011 }
      const answer = await ask(says(stream, usage), { max_tokens: 2_000, stream })
      // (11 x 150 + 2 000 x 600) x 1.5
      expect(await rowOf(answer)).toMatchObject({ credits_used: '1.802475', provenance: 'provider_usage' })
    },
  )

  test('A statement that is possible is charged and alarmed where it is more than 20 times what was counted here.', async () => {
    const usage = { prompt_tokens: 11, completion_tokens: 2_000, total_tokens: 2_011 }
    const answer = await ask(says(false, usage), { max_tokens: 2_000 })
    const row = await rowOf(answer)
    expect(row).toMatchObject({
      credits_used: '1.802475',
      provenance: 'provider_usage',
      details: { far_above_counted: { prompt_tokens: 9, completion_tokens: 2 } },
    })
    await product.tollgate.outputMatches(new RegExp(`"level":"error".*"call_id":"${row.call_id}".*FAR ABOVE`))
  })

  test('A statement that is possible is charged to the limit of the model where a stream set no cap.', async () => {
    const usage = { prompt_tokens: 11, completion_tokens: 16_384, total_tokens: 16_395 }
    const answer = await ask(says(true, usage), { stream: true })
    // (11 x 150 + 16 384 x 600) x 1.5, of which 4 096 tokens were held
    expect(await rowOf(answer)).toMatchObject({ credits_used: '14.748075', provenance: 'provider_usage' })
  })

  test('A statement that is possible is charged for each choice.', async () => {
    const usage = { prompt_tokens: 11, completion_tokens: 300, total_tokens: 311 }
    const answer = await ask(says(false, usage), { max_tokens: 100, n: 3 })
    expect(await rowOf(answer)).toMatchObject({ credits_used: '0.272475', provenance: 'provider_usage' })
  })

  test('A statement that is possible may name all of the context window where a part of the request is larger than its own bytes.', async () => {
    const content = [{ type: 'image_url', image_url: { url: 'https://example.com/a.png' } }]
    const usage = { prompt_tokens: 128_000, completion_tokens: 2, total_tokens: 128_002 }
    const answer = await ask(says(false, usage), { messages: [{ role: 'user', content }], max_tokens: 10 })
    expect(await rowOf(answer)).toMatchObject({ credits_used: '28.801800', provenance: 'provider_usage' })
  })
})

describe('a statement that is not possible', () => {
  const disputed = { provenance: 'disputed', outcome: 'answered' }
  // The quote: 10 tokens of input by the estimate and a hundred of output, x 1.5.
  test.each(
    [
      { name: 'output above the cap', usage: { prompt_tokens: 11, completion_tokens: 101, total_tokens: 112 } },
      { name: 'a billion tokens', usage: { prompt_tokens: 11, completion_tokens: 1e9, total_tokens: 1e9 + 11 } },
      { name: 'a whole window for nine bytes', usage: { prompt_tokens: 128_000, completion_tokens: 2 } },
      {
        name: 'reasoning above the cap',
        usage: { prompt_tokens: 11, completion_tokens: 500, completion_tokens_details: { reasoning_tokens: 498 } },
      },
      {
        name: 'cached above the window',
        usage: { prompt_tokens: 1e12, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 1e12 } },
      },
      { name: 'input and output', usage: { prompt_tokens: 1e6, completion_tokens: 1e6 } },
    ].flatMap((one) => SHAPES.map((shape) => ({ ...one, ...shape }))),
  )(
    'A statement that is not possible is booked at the quote, and kept as the cost it may be: $name (stream: $stream).',
    async ({ usage, stream }) => {
      const answer = await ask(says(stream, usage), { max_tokens: 100, stream })
      const row = await rowOf(answer)
      expect(row).toMatchObject({ ...disputed, credits_used: '0.092250' })
      const {
        prompt_tokens: prompt,
        completion_tokens: completion,
        prompt_tokens_details: inside,
      } = usage as {
        prompt_tokens: number
        completion_tokens: number
        prompt_tokens_details?: { cached_tokens: number }
      }
      const cached = BigInt(inside?.cached_tokens ?? 0)
      const nano = (BigInt(prompt) - cached) * 150n + cached * 75n + BigInt(completion) * 600n
      expect(row.api_cost).toBe(`${nano / 1_000_000_000n}.${String(nano % 1_000_000_000n).padStart(9, '0')}`)
      expect(row.total_cost).toBe('0.000092250')
      expect(row.details).toMatchObject({ stated_usage: { prompt_tokens: prompt, completion_tokens: completion } })
      await product.tollgate.outputMatches(new RegExp(`"level":"error".*"call_id":"${row.call_id}".*DISPUTED`))
    },
  )

  test('A statement that is not possible is booked at what was counted where that is more than the quote.', async () => {
    const text = Array.from({ length: 400 }, () => ' word')
    const usage = { prompt_tokens: 11, completion_tokens: 5_000, total_tokens: 5_011 }
    const answer = await ask(chatAnswer({ text, usage }), { max_tokens: 100 })
    // (9 x 150 + 400 x 600) x 1.5
    expect(await rowOf(answer)).toMatchObject({ ...disputed, credits_used: '0.362025' })
  })

  test('A statement that names a dearer model than the request can cost is not believed for its model.', async () => {
    const usage = { prompt_tokens: 11, completion_tokens: 100, total_tokens: 111 }
    const answer = await ask(says(false, usage, 'o1-pro'), { max_tokens: 100 })
    expect(await rowOf(answer)).toMatchObject({ ...disputed, credits_used: '0.092250' })
  })

  test('A statement of more tool calls than the request allows is not believed.', async () => {
    const usage = { prompt_tokens: 11, completion_tokens: 5, total_tokens: 16, cost: 9_000 }
    const answer = await ask(says(false, usage, 'openai/gpt-4o-mini'), { model: 'routed', max_tokens: 100 })
    const row = await rowOf(answer)
    expect(row).toMatchObject({ provenance: 'disputed', api_cost: '9000.000000000' })
    expect(Number(row.credits_used)).toBeLessThan(1)
  })

  test('A statement that is not possible is shown as it was charged.', async () => {
    const usage = { prompt_tokens: 11, completion_tokens: 1e9, total_tokens: 1e9 + 11 }
    const answer = await ask(says(false, usage, 'exact'), { model: 'exact', max_tokens: 100 })
    expect(answer.headers.get('x-credits-used')).toBe('3.000000')
    expect(answer.headers.get('x-cost-provenance')).toBe('disputed')
    expect(answer.json()).toMatchObject({ usage: { completion_tokens: 100, cost: 0.003 } })
    expect(await rowOf(answer)).toMatchObject({ details: { usage: { completion_tokens: 100 } } })
  })
})

describe('a server with `statement: counted`', () => {
  test.each(SHAPES)(
    'A server with `statement: counted` is charged at most what its bytes explain (stream: $stream).',
    async ({ stream }) => {
      const usage = { prompt_tokens: 11, completion_tokens: 100, total_tokens: 111 }
      const answer = await ask(says(stream, usage, 'exact'), { model: 'doubted', max_tokens: 100, stream })
      expect(await rowOf(answer)).toMatchObject({
        credits_used: '0.060000',
        provenance: 'estimated',
        api_cost: '0.002000000',
        details: { stated_usage: { completion_tokens: 100 } },
      })
    },
  )

  test('A server with `statement: counted` is charged less where it states less.', async () => {
    const usage = { prompt_tokens: 11, completion_tokens: 1, total_tokens: 12 }
    const answer = await ask(says(false, usage, 'exact'), { model: 'doubted', max_tokens: 100 })
    expect(await rowOf(answer)).toMatchObject({ credits_used: '0.030000', provenance: 'provider_usage' })
  })

  test('A server with `statement: counted` is charged at what was counted where its statement is not possible.', async () => {
    const usage = { prompt_tokens: 11, completion_tokens: 1e9, total_tokens: 1e9 }
    const answer = await ask(says(false, usage, 'exact'), { model: 'doubted', max_tokens: 100 })
    expect(await rowOf(answer)).toMatchObject({ credits_used: '0.060000', provenance: 'disputed' })
  })
})

describe('a statement in the middle of a stream', () => {
  const chunk = (content: string, usage?: object) =>
    sse({ model: 'exact', choices: [{ index: 0, delta: { content } }], ...(usage === undefined ? {} : { usage }) })
  const HUGE = { prompt_tokens: 10, completion_tokens: 1_000_000, total_tokens: 1_000_010 }

  test('A statement in the middle of a stream moves neither hold nor charge beyond the bytes that passed.', async () => {
    const { db, upstream, tollgate } = product
    const acme = await db.seedOrganization({ credits: 100_000, users: { alice: 50_000 } })
    const never = new Promise<never>(() => {})
    const frames = [...Array.from({ length: 5 }, () => chunk(' word')), chunk(' word', HUGE), chunk(' word')]
    upstream.respond(rawStream(frames, { gate: (i) => (i === 7 ? never : undefined) }))
    const call = openCall(tollgate, acme.keys.alice, { ...HELLO, model: 'exact', stream: true })
    await call.frames(7)
    call.leave()
    // Six words of five bytes, at most a token a byte, and the seventh as it is counted: 31 x 0.03.
    const row = await rowOfRequest(product, call.requestId)
    expect(row).toMatchObject({ credits_used: '0.930000', provenance: 'estimated', outcome: 'client_disconnected' })
    expect(Number(row.details.held)).toBeLessThanOrEqual(4_096 * 0.03)
  })

  test('A statement in the middle of a stream is not the bill of one that ends without another.', async () => {
    const end = sse({ model: 'exact', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })
    const answer = await ask(rawStream([chunk(' word', HUGE), chunk(' word'), end, 'data: [DONE]\n\n']), {
      model: 'exact',
      stream: true,
      stream_options: { include_usage: true },
    })
    expect(await rowOf(answer)).toMatchObject({ credits_used: '0.180000', provenance: 'estimated' })
    // What is shown is what is billed.
    const frame = answer.body.split('\n\n').find((one) => one.includes('"usage"')) ?? ''
    expect(JSON.parse(frame.slice(6))).toMatchObject({ usage: { completion_tokens: 6, cost: 0.00018 } })
  })

  test('A statement in the middle of a stream that grows and shrinks counts as it was last.', async () => {
    const usage = (completion_tokens: number) => ({ prompt_tokens: 10, completion_tokens })
    const end = sse({ model: 'exact', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], usage: usage(3) })
    const answer = await ask(rawStream([chunk(' word', usage(9)), chunk(' word', usage(2)), end]), {
      model: 'exact',
      stream: true,
    })
    expect(await rowOf(answer)).toMatchObject({ credits_used: '0.090000', provenance: 'provider_usage' })
  })
})
