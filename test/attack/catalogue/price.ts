/** Whose price it is: models named and served, bills of the provider's own, power levels. */
import { greedy, honest, INPUT, says, usageOf } from '../provider.ts'
import { atMostTrue, between, disputed, exact, type Promised, refused, type Trick } from '../trick.ts'

const BILL = { input: INPUT, output: 2 }
const STREAMED = [false, true]

const named = (name: string, model: string, promise: Promised, provider = greedy()): Trick => ({
  name,
  by: 'caller',
  act: { body: { model: `wild/${model}`, max_tokens: 50 } },
  provider,
  promise,
})

const NAMES: readonly Trick[] = [
  named('a model nobody lists', 'gpt-4o-mini-9999', refused('unknown_price')),
  named('a model with a NUL behind its name', 'gpt-4o-mini\0', refused('unknown_price')),
  named('a model of no chat', 'davinci-002', refused('unknown_price')),
  named('a path for a model', '../gpt-4o-mini', refused('unknown_price')),
  named('a model in capitals', 'GPT-4O-MINI', exact),
  named(
    'a tuned model is dearer than what it was tuned from',
    'ft:gpt-4o-mini-2024-07-18:acme::x',
    exact,
    greedy(undefined, { model: 'ft:gpt-4o-mini' }),
  ),
  named('a searching model has its fee', 'gpt-4o-mini-search-preview', exact, () => greedyWithFee()),
]

function greedyWithFee() {
  const bill = { model: 'gpt-4o-mini-search-preview', input: INPUT, output: 50, fees: 10_000_000n } as const
  return says(usageOf(INPUT, 50), bill)({ json: {} } as Parameters<ReturnType<typeof says>>[0], 1)
}

const served = (
  name: string,
  model: string,
  promise: Promised,
  body: object = {},
  more: Partial<Trick> = {},
): Trick[] =>
  STREAMED.map((stream) => ({
    name: `${name} (stream: ${stream})`,
    by: 'provider',
    act: { body: { ...body, stream } },
    provider: says(usageOf(INPUT, 2), BILL, { model }),
    promise,
    ...more,
  }))

/** By a rule of the house, against a test of which this would be: not decided here. */
const BY_NAME = {
  known: 'the model that is said to have served sets the price, as far as the cap that was sent allows',
}

const SERVED: readonly Trick[] = [
  ...served('a model nobody knows is said to have served', 'super-model-1', exact),
  ...served('no model is said to have served', '', exact),
  ...served('a dearer model is said to have served', 'gpt-4o', exact, {}, BY_NAME),
  ...served('the dearest model is said to have served', 'o1-pro', disputed, { max_tokens: 2 }),
  ...served('the dearest model, and an open cap', 'o1-pro', exact, {}, BY_NAME),
  ...served('a dated name of the same model', 'gpt-4o-mini-2024-07-18', exact),
]

/** OpenRouter's own bill, in dollars. */
const bills = (name: string, cost: unknown, promise: Promised, nano: bigint | null, more: object = {}): Trick[] =>
  STREAMED.map((stream) => ({
    name: `a bill of ${name} (stream: ${stream})`,
    by: 'provider',
    act: { body: { model: 'routed', max_tokens: 100, stream } },
    provider: says(usageOf(INPUT, 2, { cost, ...more }), nano === null ? BILL : { input: 0, output: 0, fees: nano }, {
      model: 'openai/gpt-4o-mini',
    }),
    promise,
  }))

const COSTS: readonly Trick[] = [
  ...bills('nothing, on the operator’s key', 0, exact, null),
  ...bills('less than nothing', -1, exact, null),
  ...bills('a text', '9000', exact, null),
  ...bills('a list', [9_000], exact, null),
  ...bills('twice the list price', 0.0000054, exact, 5_400n),
  ...bills('9,000 dollars', 9_000, disputed, null),
  ...bills('1e300 dollars', 1e300, exact, null),
  ...bills('its own fee, and what the operator’s key there was charged', 0.000001, exact, 2_700n, {
    is_byok: true,
    cost_details: { upstream_inference_cost: 0.0000017 },
  }),
  ...bills('9,000 dollars of the operator’s key there', 0, disputed, null, {
    is_byok: true,
    cost_details: { upstream_inference_cost: 9_000 },
  }),
  {
    name: 'a bill of no ticks',
    by: 'provider',
    act: { body: { model: 'grok', max_tokens: 100 } },
    provider: says(usageOf(INPUT, 2, { cost_in_usd_ticks: 0 }), { model: 'grok-3', ...BILL }, { model: 'grok-3' }),
    promise: exact,
  },
  {
    name: 'a bill of 1e15 ticks',
    by: 'provider',
    act: { body: { model: 'grok', max_tokens: 100 } },
    provider: says(usageOf(INPUT, 2, { cost_in_usd_ticks: 1e15 }), { model: 'grok-3', ...BILL }, { model: 'grok-3' }),
    promise: disputed,
  },
]

const level = (name: string, headers: Record<string, string>, body: object, factor: bigint): Trick => ({
  name: `power level: ${name}`,
  by: 'caller',
  act: { headers, body: { ...body } },
  provider: honest(BILL),
  promise: exact,
  factor,
})

/** `eco` is half of 1.5, and never less than the cost. */
const LEVELS: readonly Trick[] = [
  level('eco is never below cost', { 'x-power-level': 'eco' }, {}, 1_000n),
  level('ECO', { 'X-POWER-LEVEL': 'ECO' }, {}, 1_000n),
  level('eco with spaces', { 'x-power-level': '  Eco ' }, {}, 1_000n),
  level('two in one header are none', { 'x-power-level': 'eco, eco' }, {}, 1_500n),
  level('free is none', { 'x-power-level': 'free' }, {}, 1_500n),
  level('a number is none', { 'x-power-level': '0' }, {}, 1_500n),
  level('the header wins over the body', { 'x-power-level': 'precision' }, { power_level: 'eco' }, 3_000n),
  level('capitals in the body are none', {}, { power_level: 'ECO' }, 1_500n),
  level('a list in the body is none', {}, { power_level: ['eco'] }, 1_500n),
  level('a factor in the body is none', {}, { power_level: 0.0001 }, 1_500n),
  level('a name every object has is none', { 'x-power-level': '__proto__' }, { power_level: 'constructor' }, 1_500n),
  level(
    'a price in the headers is none',
    { 'x-litellm-response-cost': '0', 'x-cost-incurred': '0', 'x-markup': '0' },
    {},
    1_500n,
  ),
]

export const PRICE: readonly Trick[] = [
  ...NAMES,
  ...SERVED,
  ...COSTS,
  ...LEVELS,
  {
    name: 'a cheaper model is said to have served',
    by: 'provider',
    act: { body: { model: 'gpt-4o' } },
    provider: says(usageOf(INPUT, 2), BILL),
    promise: between('true', 'held'),
  },
  {
    name: 'everything is said to have been in a cache',
    by: 'provider',
    act: {},
    provider: says(usageOf(INPUT, 2, { prompt_tokens_details: { cached_tokens: INPUT } }), {
      input: 0,
      cached: INPUT,
      output: 2,
    }),
    promise: atMostTrue,
  },
]
