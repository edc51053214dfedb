/** Tools a provider runs itself: what they read is billed as input and can't be known before, so the operator says what to hold. */
import { describe, expect, test } from 'vitest'
import { rowOfCall } from '../../support/call-books.ts'
import { expectRefusal } from '../../support/error-shape.ts'
import { openCall } from '../../support/open-call.ts'
import { useProduct } from '../../support/product.ts'
import { modelOn, postChat } from '../../support/tollgate.ts'
import { chatAnswer, jsonAnswer } from '../../support/upstream-answers.ts'

/** Input is free, an output token is 0.03 credits. */
const EXACT = { input_cost_per_token: 0, output_cost_per_token: 0.00002 }
const product = useProduct((url) => ({
  models: [
    modelOn(url, 'routed', { model: 'openrouter/openai/gpt-4o-mini' }),
    modelOn(url, 'routed-exact', { model: 'openrouter/openai/gpt-4o-mini', ...EXACT }),
    modelOn(url, 'online-exact', { model: 'openrouter/openai/gpt-4o-mini:online', ...EXACT }),
    modelOn(url, 'grok-exact', { model: 'xai/grok-4', ...EXACT }),
    modelOn(url, 'grok', { model: 'xai/grok-3-mini' }),
    modelOn(url, 'compound-exact', { model: 'groq/groq/compound', ...EXACT }),
    modelOn(url, 'oss-exact', { model: 'groq/openai/gpt-oss-120b', ...EXACT }),
    modelOn(url, 'searching', { model: 'openai/gpt-4o-search-preview', ...EXACT }),
  ],
  tollgate: {
    // Dollars a call: 15 credits, 3.0000015 and 75 with the plan's 50 %.
    tool_surcharges: { web_search: 0.01, live_search: 0.002000001, compound: 0.05 },
    tool_fees: { live_search: 0.0001, web_search: 0.01, browser_search: 0.001, code_interpreter: 0.001 },
  },
  litellm_settings: { num_retries: 0 },
}))

const HELLO = { messages: [{ role: 'user', content: 'Say hello' }], max_tokens: 100 }
const WEB = { plugins: [{ id: 'web' }] }
const SEARCH = { search_parameters: { mode: 'auto' } }

test.for([
  { model: 'routed-exact', params: { plugins: [{ id: 'file-parser' }] }, kind: 'file_parser' },
  { model: 'routed-exact', params: { tools: [{ type: 'openrouter:datetime' }] }, kind: 'datetime' },
  { model: 'grok-exact', params: { tools: [{ type: 'x_search' }] }, kind: 'x_search' },
  { model: 'oss-exact', params: { tools: [{ type: 'browser_search' }] }, kind: 'browser_search' },
  { model: 'oss-exact', params: { tools: [{ type: 'code_interpreter' }], stream: true }, kind: 'code_interpreter' },
  // One of two is set.
  { model: 'routed-exact', params: { plugins: [{ id: 'web' }, { id: 'file-parser' }] }, kind: 'file_parser' },
])(
  'A server tool without a surcharge is refused, naming the setting: $kind at $model',
  async ({ model, params, kind }) => {
    const { db, upstream, tollgate } = product
    const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    const before = upstream.requests.length
    const answer = await postChat(tollgate, acme.keys.alice, { model, ...HELLO, ...params })
    const message = expectRefusal(answer, { status: 400, code: 'unbounded_tool', param: kind })
    expect(message).toBe(
      `What the provider's tool '${kind}' reads is billed as input and can't be known before the call. The operator can set tollgate.tool_surcharges.${kind}: dollars to hold for such a call.`,
    )
    expect(upstream.requests).toHaveLength(before)
    const { rows } = await db.pool.query('select 1 from tollgate.ledger_holds where org_id = $1', [acme.id])
    expect(rows).toEqual([])
  },
)

describe('with a surcharge', () => {
  // A hundred output tokens are 3 credits.
  test.for([
    { name: 'no tool', model: 'routed-exact', params: {}, held: '3.000000' },
    { name: 'a plugin', model: 'routed-exact', params: WEB, held: '18.000000' },
    { name: 'a plugin, streamed', model: 'routed-exact', params: { ...WEB, stream: true }, held: '18.000000' },
    { name: 'a suffix of the model', model: 'online-exact', params: {}, held: '18.000000' },
    { name: 'the same tool twice', model: 'online-exact', params: WEB, held: '18.000000' },
    { name: 'a fraction of a microcredit', model: 'grok-exact', params: SEARCH, held: '6.000002' },
    {
      name: 'two tools',
      model: 'grok-exact',
      params: { ...SEARCH, tools: [{ type: 'web_search' }] },
      held: '21.000002',
    },
    {
      name: 'more sources than the surcharge pays for',
      model: 'grok-exact',
      params: { search_parameters: { mode: 'on', max_search_results: 100 } },
      // 100 x 0.1 credits of fees, half as much again.
      held: '18.000000',
    },
    { name: 'a system of several models', model: 'compound-exact', params: {}, held: '78.000000' },
    {
      name: 'a tool that is off',
      model: 'grok-exact',
      params: { search_parameters: { mode: 'off' } },
      held: '3.000000',
    },
  ])('With a surcharge the server tool is in the hold, exactly: $name', async ({ model, params, held }) => {
    const { db, upstream, tollgate } = product
    const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    const later = Promise.withResolvers<void>()
    upstream.respond(chatAnswer({ beforeHead: later.promise }))
    const before = upstream.requests.length
    const call = openCall(tollgate, acme.keys.alice, { model, ...HELLO, ...params })
    await upstream.received(before + 1)

    const { rows } = await db.pool.query(
      `select h.held_credits as hold, a.held_credits as allocation, p.held_credits as pool
         from tollgate.ledger_holds h join user_credit_allocations a using (org_id) join organization_credit_pools p using (org_id)
        where h.org_id = $1 and h.state = 'open'`,
      [acme.id],
    )
    later.resolve()
    await call.closed
    expect(rows).toEqual([{ hold: held, allocation: held, pool: held }])
  })

  test('Who can’t cover the surcharge of a server tool is refused.', async () => {
    const { db, upstream, tollgate } = product
    const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 17 } })
    const before = upstream.requests.length
    const answer = await postChat(tollgate, acme.keys.alice, { model: 'compound-exact', ...HELLO })
    expect(answer.status).toBe(402)
    expect(answer.json()).toMatchObject({ error: { code: 'insufficient_credits', required: '78', available: '17' } })
    expect(upstream.requests).toHaveLength(before)
  })
})

describe('the charge is the true one', () => {
  const USAGE = { prompt_tokens: 11, completion_tokens: 5, total_tokens: 16 }

  test.for([
    {
      name: 'the provider’s bill, with its fee',
      model: 'routed',
      params: WEB,
      usage: { ...USAGE, cost: 0.0233, server_tool_use_details: { web_search_requests: 1 } },
      row: { credits_used: '34.950000', provenance: 'provider_cost' },
    },
    {
      name: 'tokens alone, where nothing was searched',
      model: 'routed',
      params: WEB,
      usage: USAGE,
      // (11 x 150 + 5 x 600) x 1.5 nano-dollars
      row: { credits_used: '0.006975', provenance: 'provider_usage' },
    },
    {
      name: 'tokens and the sources that were read, at the operator’s fee',
      model: 'grok',
      params: SEARCH,
      usage: { ...USAGE, num_sources_used: 3 },
      // (11 x 300 + 5 x 500 + 3 x 100 000) x 1.5
      row: { credits_used: '0.458700', provenance: 'provider_usage' },
    },
  ])('The charge of a server tool is the true one: $name', async ({ model, params, usage, row }) => {
    const { db, upstream, tollgate } = product
    const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    upstream.respond(chatAnswer({ usage, model: model === 'grok' ? 'grok-3-mini' : 'openai/gpt-4o-mini' }))
    const answer = await postChat(tollgate, acme.keys.alice, { model, ...HELLO, ...params })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('x-credits-used')).toBe(row.credits_used)
    expect(await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))).toMatchObject(row)
  })

  test('A compound system’s tools are counted as it says it ran them.', async () => {
    const { db, upstream, tollgate } = product
    const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    const message = { role: 'assistant', content: 'x', executed_tools: [{ type: 'search' }, { type: 'search' }] }
    const choices = [{ index: 0, message, finish_reason: 'stop' }]
    upstream.respond(jsonAnswer({ id: 'c', model: 'groq/compound', choices, usage: USAGE }))
    const answer = await postChat(tollgate, acme.keys.alice, { model: 'compound-exact', ...HELLO })
    // 5 tokens at 0.03 credits, and two searches at $0.01 and 50 %
    expect(answer.headers.get('x-credits-used')).toBe('30.150000')
    const row = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
    expect(row.details).toMatchObject({ tool_uses: { web_search: 2 } })
  })

  test('A tool that is billed by use and adds no input needs a fee, not a surcharge.', async () => {
    const { db, upstream, tollgate } = product
    const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    upstream.respond(chatAnswer({ usage: USAGE, model: 'gpt-4o-search-preview' }))
    const answer = await postChat(tollgate, acme.keys.alice, { model: 'searching', ...HELLO })
    expect(answer.headers.get('x-credits-used')).toBe('15.150000')
    const row = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
    expect(row.details).toMatchObject({ held: '18', tool_uses: { web_search: 1 } })
  })
})
