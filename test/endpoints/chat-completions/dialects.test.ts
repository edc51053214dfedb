/** The five dialects through the whole product: what is charged, by whose word, and what the caller sees of it. */
import { describe, expect, test } from 'vitest'
import { balanceOf, rowOfCall } from '../../support/call-books.ts'
import { useProduct } from '../../support/product.ts'
import { type CallAnswer, modelOn, postChat } from '../../support/tollgate.ts'
import {
  type Answer,
  chatAnswer,
  chatStream,
  jsonAnswer,
  rawStream,
  type Script,
  sse,
} from '../../support/upstream-answers.ts'

const PRICED = { input_cost_per_token: 0.000001, output_cost_per_token: 0.000002 }
const product = useProduct((url) => ({
  models: [
    modelOn(url, 'grok', { model: 'xai/grok-3-mini' }),
    modelOn(url, 'grok-priced', { model: 'xai/grok-3-mini', ...PRICED }),
    modelOn(url, 'llama', { model: 'groq/llama-3.3-70b-versatile' }),
    modelOn(url, 'compound', { model: 'groq/groq/compound' }),
    modelOn(url, 'routed', { model: 'openrouter/openai/gpt-4o-mini' }),
    modelOn(url, 'routed-priced', { model: 'openrouter/openai/gpt-4o-mini', ...PRICED }),
    modelOn(url, 'hugged', { model: 'huggingface/meta-llama/Llama-3.3-70B-Instruct:groq' }),
    modelOn(url, 'hugged-priced', { model: 'huggingface/org/model', ...PRICED }),
    modelOn(url, 'gpt-5'),
    modelOn(url, 'gpt-5.6'),
    ...['', ':fastest', ':cheapest'].map((suffix) =>
      modelOn(url, `bare${suffix}`, { model: `huggingface/org/model${suffix}` }),
    ),
  ],
  tollgate: { tool_surcharges: { compound: 0.05 } },
  litellm_settings: { num_retries: 0 },
}))

const HELLO = { messages: [{ role: 'user', content: 'Say hello now' }] }
const STREAM = { stream: true, stream_options: { include_usage: true } }
const USAGE = { prompt_tokens: 11, completion_tokens: 5, total_tokens: 16 }

/** Makes a call of alice, who has 500 credits, and asserts its charge in answer and books. */
async function charged(
  model: string,
  script: Script,
  expected: { credits: string; provenance: string },
  body: object = {},
): Promise<{ answer: CallAnswer; usage: Record<string, unknown> }> {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  upstream.respond(script)
  const answer = await postChat(tollgate, acme.keys.alice, { model, ...HELLO, ...body })
  expect([answer.status, answer.status === 200 ? '' : answer.body]).toEqual([200, ''])
  const row = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
  expect(row).toMatchObject({ credits_used: expected.credits, provenance: expected.provenance, outcome: 'answered' })
  expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ used: expected.credits, held: '0.000000' })
  const isStream = 'stream' in body
  if (!isStream) {
    expect(answer.headers.get('x-credits-used')).toBe(expected.credits)
    expect(answer.headers.get('x-cost-incurred')).toBe(expected.credits)
    expect(answer.headers.get('x-cost-provenance')).toBe(expected.provenance)
  }
  const last = isStream ? answer.body.split('\n\n').at(-3)?.slice(6) : answer.body
  const { usage } = JSON.parse(last ?? '') as { usage: Record<string, unknown> }
  expect(usage.cost).toBe(Number(`${expected.credits}e-3`))
  for (const own of ['cost_details', 'cost_in_usd_ticks', 'is_byok']) expect(answer.body).not.toContain(own)
  return { answer, usage }
}

const bothWays = (usage: object, options: object = {}): [string, object, Answer][] => [
  ['JSON', {}, chatAnswer({ ...options, usage: { ...usage } })],
  ['a stream', STREAM, chatStream({ ...options, usage: { ...usage } })],
]

/** Frames under the name that the caller asked for. */
const named = (model: string, frames: string) => frames.replaceAll(/"model":"[^"]*"/g, `"model":"${model}"`)

describe('xAI', () => {
  const thought = {
    prompt_tokens: 32,
    completion_tokens: 9,
    total_tokens: 141,
    prompt_tokens_details: { cached_tokens: 8 },
    completion_tokens_details: { reasoning_tokens: 100 },
  }

  test.for(bothWays(thought, { model: 'grok-3-mini-high' }))(
    'xAI: reasoning beside completion_tokens is charged, and shown inside: %s.',
    async ([, body, script]) => {
      // (24 x 300 + 8 x 75 + 109 x 500) x 1.5 nano-dollars
      const expected = { credits: '0.093450', provenance: 'provider_usage' }
      const { usage } = await charged('grok', script, expected, body)
      expect(usage).toEqual({ ...thought, completion_tokens: 109, cost: 0.00009345 })
    },
  )

  test.for(bothWays({ ...thought, cost_in_usd_ticks: 12_345 }))(
    'xAI: its bill is the price, rounded up once, after the markup: %s.',
    async ([, body, script]) => {
      // 1 234.5 nano-dollars x 1.5 is 1 851.75; rounded before the markup it would be 1 853.
      await charged('grok', script, { credits: '0.001852', provenance: 'provider_cost' }, body)
    },
  )

  test('xAI: a bill of nothing is not believed; the operator’s own price comes before any bill.', async () => {
    const free = chatAnswer({ usage: { ...thought, cost_in_usd_ticks: 0 } })
    await charged('grok', free, { credits: '0.093450', provenance: 'provider_usage' })
    const billed = chatAnswer({ usage: { ...thought, cost_in_usd_ticks: 12_345 } })
    // (32 x 1 000 + 109 x 2 000) x 1.5
    await charged('grok-priced', billed, { credits: '0.375000', provenance: 'provider_usage' })
  })
})

describe('Groq', () => {
  const HEAD = { id: 'c', object: 'chat.completion.chunk', created: 1, model: 'llama-3.3-70b-versatile' }
  const chunk = (delta: object, finish: string | null = null, rest: object = {}) =>
    sse({ ...HEAD, choices: [{ index: 0, delta, finish_reason: finish }], ...rest })
  // (11 x 590 + 5 x 790) x 1.5 nano-dollars
  const expected = { credits: '0.015660', provenance: 'provider_usage' }

  test.for([
    ['three times', { usage: USAGE }, [sse({ ...HEAD, choices: [], usage: USAGE })]],
    ['only inside x_groq', {}, []],
  ] as const)('Groq: usage stated %s is charged once, and is one frame.', async ([, beside, after]) => {
    const finish = chunk({}, 'stop', { x_groq: { id: 'r', usage: USAGE }, ...beside })
    const script = rawStream([chunk({ content: 'Hi' }), finish, ...after, 'data: [DONE]\n\n'])
    const { answer } = await charged('llama', script, expected, STREAM)
    const frames = answer.body.split('\n\n').slice(0, -1)
    expect(frames).toHaveLength(4)
    const shown = chunk({ content: 'Hi' }) + chunk({}, 'stop', { x_groq: { id: 'r' } })
    expect(`${frames[0]}\n\n${frames[1]}\n\n`).toBe(named('llama', shown))
    expect(answer.body.match(/"usage"/g)).toHaveLength(1)
    expect(frames[3]).toBe('data: [DONE]')
  })

  test('Groq: a compound system is priced model by model.', async () => {
    const part = (model: string, prompt: number, completion: number) => ({
      model,
      usage: { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion },
    })
    const models = [part('llama-3.3-70b-versatile', 100, 20), part('openai/gpt-oss-120b', 200, 50)]
    const usage = { prompt_tokens: 300, completion_tokens: 70, total_tokens: 370 }
    const choices = [{ index: 0, message: { role: 'assistant', content: 'x' }, finish_reason: 'stop' }]
    const body = { id: 'c', model: 'groq/compound', choices, usage, usage_breakdown: { models } }
    // (100 x 590 + 20 x 790 + 200 x 150 + 50 x 600) x 1.5
    await charged('compound', jsonAnswer(body), { credits: '0.202200', provenance: 'provider_usage' })
  })
})

describe('OpenRouter', () => {
  const bill = { ...USAGE, is_byok: false, cost_details: { upstream_inference_cost: null } }

  test.for(bothWays({ ...bill, cost: 0.0123 }))(
    'OpenRouter: its bill is the price, fees and all: %s.',
    async ([, body, script]) => {
      const expected = { credits: '18.450000', provenance: 'provider_cost' }
      const { usage } = await charged('routed', script, expected, body)
      expect(usage).toEqual({ ...USAGE, cost: 0.01845 })
    },
  )

  test.for<[string, string, object, string, string]>([
    [
      'what its own key paid',
      'routed',
      { is_byok: true, cost: 0, cost_details: { upstream_inference_cost: 0.0002 } },
      '0.300000',
      'provider_cost',
    ],
    [
      'a fee and what its own key paid',
      'routed',
      { is_byok: true, cost: 0.00001, cost_details: { upstream_inference_cost: 0.0002 } },
      '0.315000',
      'provider_cost',
    ],
    // (11 x 150 + 5 x 600) x 1.5
    ['tokens where the bill is nothing', 'routed', { cost: 0 }, '0.006975', 'provider_usage'],
    ['tokens where the bill is none', 'routed', { cost: 'free' }, '0.006975', 'provider_usage'],
    // (11 x 1 000 + 5 x 2 000) x 1.5
    ['the operator’s own price before it', 'routed-priced', { cost: 0.0123 }, '0.031500', 'provider_usage'],
  ])('OpenRouter: what is charged is %s.', async ([, model, rest, credits, provenance]) => {
    await charged(model, chatAnswer({ usage: { ...bill, ...rest } }), { credits, provenance })
  })

  test('OpenRouter: another model that served keeps the bill; without one it is priced as itself.', async () => {
    const model = 'anthropic/claude-opus-4.1'
    const billed = chatAnswer({ model, usage: { ...bill, cost: 0.0005 } })
    await charged('routed', billed, { credits: '0.750000', provenance: 'provider_cost' })
    // (11 x 15 000 + 5 x 75 000) x 1.5
    await charged('routed', chatAnswer({ model, usage: USAGE }), { credits: '0.810000', provenance: 'provider_usage' })
  })

  test('OpenRouter: comments stay behind, and a finish reason said twice is said once.', async () => {
    const choice = { index: 0, delta: { role: 'assistant', content: '' }, finish_reason: 'stop' }
    const head = { id: 'gen-1', model: 'openai/gpt-4o-mini', object: 'chat.completion.chunk', created: 1 }
    const hello = sse({ ...head, choices: [{ index: 0, delta: { content: 'Hi' }, finish_reason: null }] })
    const stop = sse({ ...head, choices: [choice] })
    const comment = ': OPENROUTER PROCESSING\n\n'
    const again = sse({ ...head, choices: [choice], usage: { ...bill, cost: 0.0002 } })
    const script = rawStream([comment, comment, hello, comment, stop, again, 'data: [DONE]\n\n'])
    const { answer } = await charged('routed', script, { credits: '0.300000', provenance: 'provider_cost' }, STREAM)
    const usage = sse({ ...head, choices: [], usage: { ...USAGE, cost: 0.0003 } })
    expect(answer.body).toBe(named('routed', `${hello}${stop}${usage}data: [DONE]\n\n`))
  })

  test('OpenRouter: all models of the request are held for; one without a price is refused by its name.', async () => {
    const { db, upstream, tollgate } = product
    const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    const [cheap, dear] = ['openai/gpt-4o-mini', 'anthropic/claude-opus-4.1']
    upstream.respond(chatAnswer({ usage: { ...bill, cost: 0.0001 } }))
    /** Microcredits. */
    const held = async (models: string[], cap: number): Promise<number> => {
      const body = { ...HELLO, model: 'routed', models, max_tokens: cap }
      const answer = await postChat(tollgate, acme.keys.alice, body)
      // The prices of the dearest that the request allows: gpt-4o-mini's, and Opus'.
      const max_price = models.includes(dear) ? { prompt: 15, completion: 75 } : { prompt: 0.15, completion: 0.6 }
      const sent = { ...body, model: cheap, max_completion_tokens: cap, provider: { max_price } }
      expect(upstream.requests.at(-1)?.json).toEqual(sent)
      const { details } = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
      return Math.round(Number(details.held) * 1e6)
    }
    // A hundred tokens of output at $0.60 and at $75 a million, and 50 %.
    const input = (await held([cheap], 100)) - 90_000
    const dearInput = (await held([cheap, dear], 100)) - 11_250_000
    expect(input).toBeGreaterThan(0)
    // Of input at $0.15 and at $18.75, what writing a cache costs.
    expect(dearInput / input).toBe(125)

    const before = upstream.requests.length
    const body = { ...HELLO, model: 'routed', models: [cheap, 'unheard/of'] }
    const refused = await postChat(tollgate, acme.keys.alice, body)
    expect(refused.status).toBe(400)
    expect(refused.json()).toMatchObject({ error: { code: 'unknown_price', param: 'model' } })
    expect(refused.json().detail).toContain("'unheard/of'")
    expect(upstream.requests).toHaveLength(before)
  })
})

describe('HuggingFace', () => {
  test.for(['bare', 'bare:fastest', 'bare:cheapest'])(
    'HuggingFace: %s names no provider, so there is no price and no call.',
    async (model) => {
      const { db, upstream, tollgate } = product
      const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
      const before = upstream.requests.length
      const answer = await postChat(tollgate, acme.keys.alice, { ...HELLO, model })
      const detail = `HuggingFace chooses who serves 'org/model${model.slice(4)}', so its price can't be known. Add a provider: 'org/model:groq', for one. The operator can set input_cost_per_token and output_cost_per_token for it.`
      expect([answer.status, answer.json()]).toEqual([
        400,
        { error: { message: detail, type: 'invalid_request_error', param: 'model', code: 'unknown_price' }, detail },
      ])
      expect(upstream.requests).toHaveLength(before)
    },
  )

  test('HuggingFace: a call is priced as it was asked for, whoever the response says it is; the operator’s price needs no provider.', async () => {
    // A name that has a price of its own, $0.10 and $0.50.
    const served = chatAnswer({ model: 'openai/gpt-oss-20b:groq', usage: USAGE })
    await charged('hugged', served, { credits: '0.015660', provenance: 'provider_usage' })
    await charged('hugged-priced', served, { credits: '0.031500', provenance: 'provider_usage' })
  })

  test('HuggingFace: a stream without spaces, usage, [DONE] and OpenAI’s words is counted, and ends like OpenAI’s.', async () => {
    const frame = (content: string, finish: string | null) => ({
      id: '',
      object: 'chat.completion.chunk',
      created: 1,
      model: 'm',
      choices: [{ index: 0, delta: { content }, finish_reason: finish }],
    })
    const bare = [frame('Hello', null), frame(' world', 'eos_token')].map((data) => `data:${JSON.stringify(data)}\n\n`)
    // The input counts 10 tokens and "Hello world" 2: (10 x 590 + 2 x 790) x 1.5
    const expected = { credits: '0.011220', provenance: 'estimated' }
    const { answer, usage } = await charged('hugged', rawStream(bare), expected, STREAM)
    const shown = sse(frame('Hello', null)) + sse(frame(' world', 'stop'))
    expect(answer.body.startsWith(named('hugged', shown))).toBe(true)
    expect(answer.body.endsWith('data: [DONE]\n\n')).toBe(true)
    expect(usage).toMatchObject({ prompt_tokens: 10, completion_tokens: 2, total_tokens: 12 })
  })

  test('HuggingFace: the cap is sent as max_tokens.', async () => {
    const { db, upstream, tollgate } = product
    const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    upstream.respond(chatAnswer({ usage: USAGE }))
    await postChat(tollgate, acme.keys.alice, { ...HELLO, model: 'hugged', max_completion_tokens: 77 })
    const model = 'meta-llama/Llama-3.3-70B-Instruct:groq'
    expect(upstream.requests.at(-1)?.json).toEqual({ ...HELLO, model, max_tokens: 77 })
  })
})

describe('OpenAI', () => {
  test.for<[string, string]>([
    // (11 x 1 250 + 5 x 10 000) x 1.5
    ['default', '0.095625'],
    ['flex', '0.047813'],
    ['priority', '0.191250'],
  ])('OpenAI: the tier that served sets the price: %s.', async ([tier, credits]) => {
    const { frames, ...rest } = chatAnswer({ model: 'gpt-5', usage: USAGE })
    const body = { ...(JSON.parse(String(frames[0])) as object), service_tier: tier }
    const script = { ...rest, frames: [JSON.stringify(body)] }
    await charged('gpt-5', script, { credits, provenance: 'provider_usage' }, { service_tier: 'auto' })
  })

  test.for(
    bothWays(
      {
        prompt_tokens: 1_000,
        completion_tokens: 10,
        total_tokens: 1_010,
        prompt_tokens_details: { cached_tokens: 300, cache_write_tokens: 200 },
      },
      { model: 'gpt-5.6' },
    ),
  )('OpenAI: what was read from and written to the cache has its own rates: %s.', async ([, body, script]) => {
    // (500 x 4 000 + 300 x 400 + 200 x 5 000 + 10 x 20 000) x 1.5
    await charged('gpt-5.6', script, { credits: '4.980000', provenance: 'provider_usage' }, body)
  })

  test('OpenAI: a model that reasons gets its cap where it takes it.', async () => {
    const { db, upstream, tollgate } = product
    const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    upstream.respond(chatAnswer({ model: 'gpt-5', usage: USAGE }))
    await postChat(tollgate, acme.keys.alice, { ...HELLO, model: 'gpt-5', max_tokens: 77 })
    expect(upstream.requests.at(-1)?.json).toEqual({ ...HELLO, model: 'gpt-5', max_completion_tokens: 77 })
  })
})
