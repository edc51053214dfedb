/** What a provider's statement can possibly be, in exact numbers. */
import { describe, expect, test } from 'vitest'
import { NO_USAGE, type Usage } from '../../providers/usage.ts'
import {
  cutToPassed,
  isPossible,
  mostCharge,
  type Possible,
  possibleCost,
  possibleInput,
  possibleOutput,
  UNSEEN_PROMPT,
} from '../../src/metering/plausible.ts'
import type { Price } from '../../src/metering/price.ts'

const RATES = {
  input: 150n,
  cacheRead: 75n,
  cacheWrite5m: 150n,
  cacheWrite1h: 150n,
  output: 600n,
  audioInput: 150n,
  audioOutput: 600n,
  imageOutput: 600n,
}
/** Nano-dollars a million tokens, as small numbers: a token of input is 150 / 10^6 nano-dollars. */
const PRICE: Price = {
  source: 'data_set',
  reference: 'test',
  tiers: [{ above: 0, rates: RATES }],
  toolFees: { web_search: 10_000_000n },
  contextWindow: 128_000,
}
const MILLION = 1_000_000n
const TEXT = { bytes: 1_000, media: 0, audioInput: 0, unbounded: [] }

describe('input', () => {
  test.each([
    {
      name: 'of text alone is not above a token a byte',
      estimate: TEXT,
      window: 128_000,
      rounds: 0,
      most: 1_000 + UNSEEN_PROMPT,
    },
    {
      name: 'is not above the window',
      estimate: { ...TEXT, bytes: 500_000 },
      window: 128_000,
      rounds: 0,
      most: 128_000,
    },
    {
      name: 'with an image may be the window',
      estimate: { ...TEXT, media: 765 },
      window: 128_000,
      rounds: 0,
      most: 128_000,
    },
    {
      name: 'with sound may be the window',
      estimate: { ...TEXT, audioInput: 10 },
      window: 128_000,
      rounds: 0,
      most: 128_000,
    },
    {
      name: 'with a file by its id may be the window',
      estimate: { ...TEXT, unbounded: ['file'] },
      window: 128_000,
      rounds: 0,
      most: 128_000,
    },
    {
      name: 'with tools may be the window once more for each use',
      estimate: TEXT,
      window: 128_000,
      rounds: 5,
      most: 768_000,
    },
    { name: 'with tools without an end is bounded too', estimate: TEXT, window: 1_000, rounds: 1e15, most: 101_000 },
    {
      name: 'of a model whose window nobody knows is what the quote took',
      estimate: { ...TEXT, media: 765 },
      window: null,
      rounds: 0,
      most: 1_765 + UNSEEN_PROMPT,
    },
  ])(
    'The most input that is possible is bounded: $name',
    ({ estimate, window: contextWindow, rounds: toolRounds, most }) => {
      expect(possibleInput({ estimate, contextWindow, toolRounds })).toBe(most)
    },
  )
})

test.each([
  { cap: 100, limit: 16_384, choices: 1, overrun: 0, most: 100 },
  { cap: null, limit: 16_384, choices: 1, overrun: 0, most: 16_384 },
  { cap: 100, limit: null, choices: 3, overrun: 0, most: 300 },
  { cap: 32, limit: null, choices: 2, overrun: 1, most: 66 },
  { cap: null, limit: null, choices: 1, overrun: 0, most: 0 },
])(
  'Output with cap $cap, limit $limit and $choices choices is at most $most',
  ({ cap, limit, choices, overrun, most }) => {
    expect(possibleOutput(cap, limit, choices, overrun)).toBe(most)
  },
)

describe('a statement', () => {
  const possible: Possible = { input: 1_000, output: 100, hears: true, speaks: true, toolUses: {}, surcharge: 0n }
  const tools = { ...possible, toolUses: { web_search: 2 } }
  test.each<{ name: string; usage: Partial<Usage>; bounds: Possible; is: boolean }>([
    { name: 'at the bounds', usage: { input: 1_000, output: 100 }, bounds: possible, is: true },
    { name: 'a token of input more', usage: { input: 1_001, output: 0 }, bounds: possible, is: false },
    {
      name: 'cached and written tokens count as input',
      usage: { input: 1, cacheRead: 500, cacheWrite1h: 500 },
      bounds: possible,
      is: false,
    },
    { name: 'a token of output more', usage: { input: 0, output: 101 }, bounds: possible, is: false },
    { name: 'spoken output counts', usage: { output: 50, audioOutput: 51 }, bounds: possible, is: false },
    { name: 'a search nobody asked for', usage: { toolFees: { web_search: 1 } }, bounds: possible, is: false },
    { name: 'searches as allowed', usage: { toolFees: { web_search: 2 } }, bounds: tools, is: true },
    { name: 'one search more', usage: { toolFees: { web_search: 3 } }, bounds: tools, is: false },
    { name: 'a tool without a fee', usage: { toolFees: { constructor: 1e9 } }, bounds: possible, is: true },
    // 1 000 tokens more at 150 / 10^6 are less than a nano-dollar; the surcharge pays for them.
    { name: 'beyond, within the surcharge', usage: { input: 2_000 }, bounds: { ...possible, surcharge: 1n }, is: true },
    { name: 'beyond the surcharge too', usage: { input: 1e12 }, bounds: { ...possible, surcharge: 1n }, is: false },
  ])('A statement is possible or not: $name', ({ usage, bounds, is }) => {
    expect(isPossible({ ...NO_USAGE, ...usage }, bounds, PRICE, MILLION)).toBe(is)
  })

  test.each<[string, Partial<Usage>]>([
    ['sound in a request that has none', { audioInput: 1 }],
    ['speech nobody asked for', { audioOutput: 1 }],
  ])('%s is possible at the price of text, and at no other.', (_, usage) => {
    const dearer = { ...PRICE, tiers: [{ above: 0, rates: { ...RATES, audioInput: 151n, audioOutput: 601n } }] }
    const isBelieved = (bounds: Possible, price: Price) => isPossible({ ...NO_USAGE, ...usage }, bounds, price, MILLION)
    expect(isBelieved({ ...possible, hears: false, speaks: false }, PRICE)).toBe(true)
    expect(isBelieved({ ...possible, hears: false, speaks: false }, dearer)).toBe(false)
    expect(isBelieved(possible, dearer)).toBe(true)
  })

  test('Free tokens beyond what is possible are not possible either.', () => {
    const free = { ...PRICE, tiers: [{ above: 0, rates: { ...RATES, input: 0n, output: 0n } }] }
    expect(isPossible({ ...NO_USAGE, output: 101 }, possible, free, MILLION)).toBe(false)
  })
})

test('The most a call can be charged is the dearest rate of each side, times the tier, and the markup.', () => {
  const possible: Possible = {
    input: 128_000,
    output: 16_384,
    hears: true,
    speaks: true,
    toolUses: { web_search: 1 },
    surcharge: 5n,
  }
  const numerator = (128_000n * 150n + 16_384n * 600n) * 2n * MILLION + (10_000_000n + 5n) * MILLION * MILLION
  expect(possibleCost(possible, PRICE, 2n * MILLION)).toBe(numerator)
  const factors = { tier: 2n * MILLION, markup: 500_000n, level: MILLION, allowBelowCost: false }
  const most = mostCharge(possible, PRICE, factors)
  expect(most).toBe((numerator * 3n + 2n * MILLION * MILLION - 1n) / (2n * MILLION * MILLION))
})

test('A tier that the input can not reach does not count.', () => {
  const tiers = [...PRICE.tiers, { above: 200_000, rates: { ...RATES, output: 9_999n } }]
  const possible: Possible = { input: 200_000, output: 100, hears: true, speaks: true, toolUses: {}, surcharge: 0n }
  const cost = (input: number) => possibleCost({ ...possible, input }, { ...PRICE, tiers }, MILLION)
  expect(cost(200_000)).toBe((200_000n * 150n + 100n * 600n) * MILLION)
  expect(cost(200_001)).toBe((200_001n * 150n + 100n * 9_999n) * MILLION)
})

test('What was stated in the middle is cut down to the bytes that passed, and to the images among them.', () => {
  const usage = { ...NO_USAGE, input: 10, output: 1_000_000, reasoning: 999_000, audioOutput: 5, imageOutput: 7 }
  expect(cutToPassed(usage, 30, 0)).toEqual({ ...usage, output: 30, reasoning: 30, audioOutput: 0, imageOutput: 0 })
  const drawn = { ...NO_USAGE, output: 40, imageOutput: 5_000 }
  expect(cutToPassed(drawn, 30, 1_290)).toEqual({ ...drawn, output: 30, imageOutput: 1_290 })
  const small = { ...NO_USAGE, input: 10, output: 30 }
  expect(cutToPassed(small, 30, 0)).toBe(small)
})
