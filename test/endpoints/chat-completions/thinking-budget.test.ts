/** A cap that is put in because no more is covered never contradicts the tokens the caller wants thought. */
import { expect, test } from 'vitest'
import { balanceOf } from '../../support/call-books.ts'
import { useProduct } from '../../support/product.ts'
import { modelOn, postChat } from '../../support/tollgate.ts'
import { chatAnswer, jsonAnswer } from '../../support/upstream-answers.ts'

/** Input is free, an output token is 0.03 credits. */
const PRICED = { input_cost_per_token: 0, output_cost_per_token: 0.00002 }
const product = useProduct((url) => ({
  models: [
    modelOn(url, 'claude', { model: 'anthropic/claude-sonnet-4-5', ...PRICED }),
    modelOn(url, 'gemini', { model: 'gemini/gemini-2.5-flash', ...PRICED }),
    modelOn(url, 'routed', { model: 'openrouter/anthropic/claude-sonnet-4.5', ...PRICED }),
  ],
  litellm_settings: { num_retries: 0 },
}))

const claudeAnswer = jsonAnswer({
  id: 'msg_1',
  type: 'message',
  role: 'assistant',
  model: 'claude-sonnet-4-5',
  content: [{ type: 'text', text: 'Hi' }],
  stop_reason: 'end_turn',
  usage: { input_tokens: 8, output_tokens: 5 },
})
const geminiAnswer = jsonAnswer({
  candidates: [{ content: { role: 'model', parts: [{ text: 'Hi' }] }, finishReason: 'STOP', index: 0 }],
  usageMetadata: { promptTokenCount: 8, candidatesTokenCount: 5, totalTokenCount: 13 },
  modelVersion: 'gemini-2.5-flash',
})
const dialects = {
  claude: {
    asked: { thinking: { type: 'enabled', budget_tokens: 31_999 } },
    sent: (budget: number) => ({ thinking: { type: 'enabled', budget_tokens: budget } }),
    answer: claudeAnswer,
  },
  routed: {
    asked: { reasoning: { max_tokens: 31_999 } },
    sent: (budget: number) => ({ reasoning: { max_tokens: budget } }),
    answer: chatAnswer(),
  },
}
const cases = (['claude', 'routed'] as const).flatMap((model) => [
  { model, credits: '2000', cap: 32_000, budget: 31_999, applied: null },
  { model, credits: '60', cap: 2_000, budget: 1_600, applied: '2000' },
  { model, credits: '38.4', cap: 1_280, budget: 1_024, applied: '1280' },
])

test.for(cases)('$model, with $credits credits, is sent a cap of $cap and a budget of $budget', async (expected) => {
  const { db, upstream, tollgate } = product
  const { asked, sent, answer } = dialects[expected.model]
  const acme = await db.seedOrganization({ credits: 10_000, users: { alice: expected.credits } })
  upstream.respond(answer)
  const body = { model: expected.model, max_tokens: 32_000, messages: [{ role: 'user', content: 'Think' }], ...asked }
  const response = await postChat(tollgate, acme.keys.alice, body)
  expect([response.status, response.headers.get('x-max-tokens-applied')]).toEqual([200, expected.applied])
  expect(upstream.requests.at(-1)?.json).toMatchObject({ max_tokens: expected.cap, ...sent(expected.budget) })
})

test.for(['claude', 'routed'] as const)(
  'Where no budget fits, the call is refused and nothing goes out: %s.',
  async (model) => {
    const { db, upstream, tollgate } = product
    const acme = await db.seedOrganization({ credits: 10_000, users: { alice: '38.399999' } })
    const before = upstream.requests.length
    const body = { model, max_tokens: 32_000, messages: [{ role: 'user', content: 'Think' }], ...dialects[model].asked }
    const response = await postChat(tollgate, acme.keys.alice, body)
    expect(response.status).toBe(402)
    expect(response.json()).toMatchObject({
      error: { code: 'insufficient_credits', required: '38.4', available: '38.399999' },
    })
    expect(upstream.requests).toHaveLength(before)
    expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ remaining: '38.399999', held: '0.000000' })
  },
)

test.for([
  { asked: { reasoning_effort: 'high' }, credits: '2000', cap: 32_000, budget: 24_576 },
  { asked: { reasoning_effort: 'high' }, credits: '60', cap: 2_000, budget: 1_600 },
  {
    asked: { extra_body: { google: { thinking_config: { thinking_budget: 9_000 } } } },
    credits: '60',
    cap: 2_000,
    budget: 1_600,
  },
  { asked: { reasoning_effort: 'low' }, credits: '19.2', cap: 640, budget: 512 },
])(
  'gemini, asked with $asked, with $credits credits, is sent a cap of $cap and a budget of $budget',
  async (expected) => {
    const { db, upstream, tollgate } = product
    const acme = await db.seedOrganization({ credits: 10_000, users: { alice: expected.credits } })
    upstream.respond(geminiAnswer)
    const body = {
      model: 'gemini',
      max_tokens: 32_000,
      messages: [{ role: 'user', content: 'Think' }],
      ...expected.asked,
    }
    const response = await postChat(tollgate, acme.keys.alice, body)
    expect(response.status).toBe(200)
    expect(upstream.requests.at(-1)?.json).toMatchObject({
      generationConfig: { maxOutputTokens: expected.cap, thinkingConfig: { thinkingBudget: expected.budget } },
    })
  },
)
