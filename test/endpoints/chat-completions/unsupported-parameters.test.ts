/** What a provider can't honour is refused by name, or left out where the operator said so; it is never ignored in silence. */
import { describe, expect, test } from 'vitest'
import { expectRefusal } from '../../support/error-shape.ts'
import { useProduct } from '../../support/product.ts'
import { modelOn, postChat } from '../../support/tollgate.ts'
import { chat } from '../../support/upstream-answers.ts'

const MODELS = {
  llama: 'groq/llama-3.3-70b-versatile',
  o3: 'openai/o3',
  'gpt-5-mini': 'openai/gpt-5-mini',
  grok: 'xai/grok-4',
  'plain-grok': 'xai/grok-3',
  routed: 'openrouter/openai/gpt-4o-mini',
} as const
type Model = keyof typeof MODELS

const product = useProduct((url) => ({
  models: Object.entries(MODELS).flatMap(([name, model]) => [
    modelOn(url, name, { model }),
    modelOn(url, `${name}-dropping`, { model, drop_params: true }),
    modelOn(url, `${name}-preset`, { model, drop_params: true, temperature: 0.2, stop: ['x'] }),
  ]),
}))

const HELLO = { messages: [{ role: 'user', content: 'Say hello' }], max_completion_tokens: 50 }
const LABELS = { groq: 'Groq', openai: 'OpenAI', xai: 'xAI', openrouter: 'OpenRouter' }

const REFUSED: { model: Model; params: Record<string, unknown>; named: string }[] = [
  { model: 'llama', params: { n: 2 }, named: 'n' },
  { model: 'llama', params: { logprobs: true }, named: 'logprobs' },
  { model: 'llama', params: { logit_bias: { 15339: -100 } }, named: 'logit_bias' },
  { model: 'llama', params: { logprobs: true, top_logprobs: 2, n: 3 }, named: 'top_logprobs' },
  { model: 'o3', params: { temperature: 0.2 }, named: 'temperature' },
  { model: 'o3', params: { top_p: 0.5, presence_penalty: 1 }, named: 'top_p' },
  { model: 'gpt-5-mini', params: { temperature: 0, logprobs: true }, named: 'temperature' },
  { model: 'grok', params: { stop: ['x'] }, named: 'stop' },
  { model: 'grok', params: { presence_penalty: 0 }, named: 'presence_penalty' },
  { model: 'plain-grok', params: { reasoning_effort: 'low' }, named: 'reasoning_effort' },
  { model: 'routed', params: { n: 2 }, named: 'n' },
]

/** What every request of a model has besides: the cap in both members, but for models that reason; the quote's prices. */
const also = (model: Model) => ({
  ...(MODELS[model].startsWith('openai/') ? {} : { max_tokens: 50 }),
  ...(model === 'routed' ? { provider: { max_price: { prompt: 0.15, completion: 0.6 } } } : {}),
})

/** The provider's own name of a model. */
const upstreamName = (model: Model) => MODELS[model].slice(MODELS[model].indexOf('/') + 1)

describe.for(REFUSED)('$model with $params', ({ model, params, named }) => {
  const provider = MODELS[model].slice(0, MODELS[model].indexOf('/')) as keyof typeof LABELS

  test.for([{}, { stream: true }])(
    `A request is refused, naming ${named}, and nothing is called or held: %j.`,
    async (kind) => {
      const { db, upstream, tollgate } = product
      const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
      const before = upstream.requests.length
      const answer = await postChat(tollgate, acme.keys.alice, { model, ...HELLO, ...params, ...kind })
      const expected = { status: 400, code: 'unsupported_parameter', type: 'invalid_request_error', param: named }
      expect(expectRefusal(answer, expected)).toBe(
        `${LABELS[provider]} can't honour '${named}' for this model. Leave it out, or ask the operator for drop_params: true.`,
      )
      expect(upstream.requests).toHaveLength(before)
      const { rows } = await db.pool.query('select 1 from tollgate.ledger_holds where org_id = $1', [acme.id])
      expect(rows).toEqual([])
    },
  )

  test('A request goes out without the parameter where the operator drops such parameters.', async () => {
    const { db, upstream, tollgate } = product
    const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    upstream.respond(chat({ model: upstreamName(model) }))
    const body = { ...HELLO, seed: 7, model: `${model}-dropping` }
    const answer = await postChat(tollgate, acme.keys.alice, { ...body, ...params })
    expect(answer.status).toBe(200)
    expect(upstream.requests.at(-1)?.json).toEqual({ ...body, ...also(model), model: upstreamName(model) })
  })
})

test('One choice is held for where n was dropped.', async () => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500, bob: 500 } })
  const held = async (key: string, params: object): Promise<string> => {
    upstream.respond(chat())
    const answer = await postChat(tollgate, key, { ...HELLO, model: 'llama-dropping', ...params })
    const { rows } = await db.pool.query<{ held: string }>(
      "select details ->> 'held' as held from credit_usage_attribution where call_id = $1",
      [answer.headers.get('x-litellm-call-id')],
    )
    return rows[0]?.held ?? 'no row'
  }
  const one = await held(acme.keys.alice, {})
  // 50 tokens of output at $0.79 a million, and 50 %, on top of the input.
  expect(Number(one)).toBeGreaterThan(0.05925)
  expect(await held(acme.keys.bob, { n: 8 })).toBe(one)
})

test('What the operator preset is dropped like what the caller wrote.', async () => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  upstream.respond(chat({ model: 'o3' }))
  await postChat(tollgate, acme.keys.alice, { ...HELLO, model: 'o3-preset' })
  expect(upstream.requests.at(-1)?.json).toEqual({ ...HELLO, model: 'o3', stop: ['x'] })
  upstream.respond(chat({ model: 'grok-4' }))
  await postChat(tollgate, acme.keys.alice, { ...HELLO, model: 'grok-preset' })
  expect(upstream.requests.at(-1)?.json).toEqual({ ...HELLO, ...also('grok'), model: 'grok-4', temperature: 0.2 })
})

test('A parameter that says nothing is not refused.', async () => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  for (const [model, params] of [
    ['llama', { n: 1, logprobs: false, logit_bias: null }],
    ['o3', { temperature: 1, top_p: 1, presence_penalty: 0, n: 2 }],
    ['routed', { n: 1, temperature: 0.2 }],
    ['plain-grok', { stop: ['x'], temperature: 0.2 }],
  ] as const) {
    upstream.respond(chat({ model: upstreamName(model) }))
    const body = { ...HELLO, model, ...params }
    expect((await postChat(tollgate, acme.keys.alice, body)).status).toBe(200)
    expect(upstream.requests.at(-1)?.json).toEqual({ ...body, ...also(model), model: upstreamName(model) })
  }
})
