import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { inputTokens, NO_USAGE, outputTokens, type Usage } from '../../providers/usage.ts'
import { type ChargeInput, COST_SCALE, charge } from '../../src/metering/charge.ts'
import type { Price, Rates } from '../../src/metering/price.ts'
import { quote } from '../../src/metering/quote.ts'

const MINI: Rates = {
  input: 150_000_000n,
  cacheRead: 75_000_000n,
  cacheWrite5m: 150_000_000n,
  cacheWrite1h: 150_000_000n,
  output: 600_000_000n,
  audioInput: 150_000_000n,
  audioOutput: 600_000_000n,
  imageOutput: 600_000_000n,
}

function priced(tiers: Price['tiers'], more: Partial<Price> = {}): Price {
  return { source: 'data_set', reference: 'a test', tiers, toolFees: {}, contextWindow: null, ...more }
}

const mini = priced([{ above: 0, rates: MINI }])
const AT_COST = { markup: 0n, level: 1_000_000n, allowBelowCost: false }

function charged(usage: Partial<Usage>, more: Partial<ChargeInput> = {}) {
  return charge({ usage: { ...NO_USAGE, ...usage }, price: mini, ...AT_COST, ...more })
}

describe('a charge', () => {
  test('A charge for 1,000 in and 500 out of gpt-4o-mini at 50 % is $0.000675, which is 0.675 credits.', () => {
    // 1,000 x $0.15/M + 500 x $0.60/M = $0.00015 + $0.0003 = $0.00045; half as much again is $0.000675.
    expect(charged({ input: 1_000, output: 500, reasoning: 100 }, { markup: 500_000n })).toEqual({
      microcredits: 675_000n,
      apiCost: 450_000n,
      markupApplied: 225_000n,
      parts: { input: 225_000n, cacheRead: 0n, cacheWrite: 0n, output: 450_000n, reasoning: 90_000n, tools: 0n },
    })
  })

  test('A charge prices each bucket at its own rate.', () => {
    const rates = {
      input: 1n,
      cacheRead: 10n,
      cacheWrite5m: 100n,
      cacheWrite1h: 1_000n,
      output: 10_000n,
      audioInput: 100_000n,
      audioOutput: 1_000_000n,
      imageOutput: 10_000_000n,
    }
    const millions = {
      input: 1e6,
      cacheRead: 2e6,
      cacheWrite5m: 3e6,
      cacheWrite1h: 4e6,
      output: 5e6,
      audioInput: 6e6,
      audioOutput: 7e6,
      imageOutput: 8e6,
    }
    const { microcredits, parts } = charged(millions, { price: priced([{ above: 0, rates }]) })
    expect(microcredits).toBe(87_654_321n)
    expect(parts).toEqual({
      input: 600_001n,
      cacheRead: 20n,
      cacheWrite: 4_300n,
      output: 87_050_000n,
      reasoning: 0n,
      tools: 0n,
    })
  })

  test('A charge rounds once, up: a third of a nano-dollar costs one, and no sum of parts costs more than the whole.', () => {
    const rates = { ...MINI, input: 333_333n, output: 333_333n }
    expect(charged({ input: 1 }, { price: priced([{ above: 0, rates }]) }).microcredits).toBe(1n)
    expect(charged({ input: 1, output: 2 }, { price: priced([{ above: 0, rates }]) }).microcredits).toBe(1n)
  })

  test.each([
    // 450,000 at cost x 1.125
    ['a markup of 12.5 %', { markup: 125_000n }, 506_250n],
    ['the precision level', { level: 2_000_000n }, 900_000n],
    ['50 % at precision', { markup: 500_000n, level: 2_000_000n }, 1_350_000n],
    // 450,000 x 1.5 x 0.5 = 337,500 is below cost
    ['50 % at eco, never below cost', { markup: 500_000n, level: 500_000n }, 450_000n],
    ['50 % at eco, below cost allowed', { markup: 500_000n, level: 500_000n, allowBelowCost: true }, 337_500n],
    ['the flex tier', { tier: 500_000n }, 225_000n],
    ['the priority tier at 50 %', { tier: 2_000_000n, markup: 500_000n }, 1_350_000n],
  ])('A charge is multiplied with %s.', (_, factors, microcredits) => {
    const result = charged({ input: 1_000, output: 500 }, factors)
    expect(result.microcredits).toBe(microcredits)
    expect(result.markupApplied).toBe(microcredits - result.apiCost)
  })

  test.each([
    [271_999, 271_999n * 200n],
    [272_000, 272_000n * 200n],
    // One token more and all of them cost twice as much.
    [272_001, 272_001n * 400n],
  ])(
    'A charge for %i input tokens, cached ones among them, is at the tier of its whole size.',
    (tokens, nanoDollars) => {
      const low = { ...MINI, input: 200_000_000n, cacheRead: 200_000_000n }
      const high = { ...MINI, input: 400_000_000n, cacheRead: 400_000_000n }
      const price = priced([
        { above: 0, rates: low },
        { above: 272_000, rates: high },
      ])
      expect(charged({ input: tokens - 1_000, cacheRead: 1_000 }, { price }).microcredits).toBe(nanoDollars)
    },
  )

  test('A charge adds tool fees, which a service tier does not touch.', () => {
    const price = priced([{ above: 0, rates: MINI }], { toolFees: { web_search: 10_000_000n } })
    const result = charged({ input: 1_000, toolFees: { web_search: 2 } }, { price, tier: 2_000_000n, markup: 500_000n })
    expect(result.apiCost).toBe(20_300_000n)
    expect(result.microcredits).toBe(30_450_000n)
    expect(result.parts).toMatchObject({ input: 450_000n, tools: 30_000_000n })
  })

  test("A charge takes the provider's own bill over the data set, and the operator's price over both.", () => {
    const usage = { input: 1_000, output: 500 }
    const billed = charged(usage, { providerCost: 900_000n * COST_SCALE, markup: 500_000n })
    expect(billed).toMatchObject({ microcredits: 1_350_000n, apiCost: 900_000n })
    expect(billed.parts).toMatchObject({ input: 450_000n, output: 900_000n })
    const operated = charged(usage, { providerCost: 900_000n * COST_SCALE, price: { ...mini, source: 'operator' } })
    expect(operated.apiCost).toBe(450_000n)
  })

  test('A charge rounds a bill once, after the markup.', () => {
    // 1.2 nano-dollars, and half as much again: 1.8, which is 2 and not 3.
    const billed = charged({ input: 1 }, { providerCost: (12n * COST_SCALE) / 10n, markup: 500_000n })
    expect(billed).toMatchObject({ microcredits: 2n, apiCost: 2n })
  })

  test('A charge has cached sound at its own rate where one is listed, else at that of cached text.', () => {
    const rates = { ...mini.tiers[0]!.rates, cacheReadAudio: 200_000_000n }
    const listed = { ...mini, tiers: [{ above: 0, rates }] }
    expect(charged({ cacheReadAudio: 1_000 }, { price: listed }).microcredits).toBe(200_000n)
    expect(charged({ cacheReadAudio: 1_000 }).microcredits).toBe(75_000n)
  })

  test('A charge prices each model that served at its own price.', () => {
    const dear = {
      ...mini,
      tiers: [{ above: 0, rates: { ...mini.tiers[0]!.rates, input: 10n ** 9n, output: 10n ** 10n } }],
    }
    const byModel = [
      { usage: { ...NO_USAGE, input: 600, output: 200 }, price: mini },
      { usage: { ...NO_USAGE, input: 400, output: 300 }, price: dear },
    ]
    const cheap = charged({ input: 600, output: 200 }).microcredits
    // 400 tokens at a dollar a million, 300 at ten dollars.
    expect(charged({ input: 1_000, output: 500 }, { byModel }).microcredits).toBe(cheap + 400_000n + 3_000_000n)
    const operated = charged({ input: 1_000, output: 500 }, { byModel, price: { ...mini, source: 'operator' } })
    expect(operated.microcredits).toBe(charged({ input: 1_000, output: 500 }).microcredits)
  })

  test('A charge takes a stated bill of zero as zero.', () => {
    expect(charged({ input: 1_000 }, { providerCost: 0n }).microcredits).toBe(0n)
  })

  test('A charge for nothing is nothing.', () => {
    expect(charged({}).microcredits).toBe(0n)
  })
})

const tokens = fc.integer({ min: 0, max: 2_000_000 })
const anyUsage = fc
  .record({
    input: tokens,
    cacheRead: tokens,
    cacheWrite5m: tokens,
    cacheWrite1h: tokens,
    output: tokens,
    audioInput: tokens,
    audioOutput: tokens,
    imageOutput: tokens,
    searches: fc.nat(5),
    reasoned: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(
    ({ searches, reasoned, ...counts }): Usage => ({
      ...NO_USAGE,
      ...counts,
      reasoning: Math.floor(counts.output * reasoned),
      toolFees: { web_search: searches },
    }),
  )
const rate = fc.bigInt({ min: 0n, max: 200_000_000_000n })
const anyRates = fc.record({
  input: rate,
  cacheRead: rate,
  cacheWrite5m: rate,
  cacheWrite1h: rate,
  output: rate,
  audioInput: rate,
  audioOutput: rate,
  imageOutput: rate,
})
const anyPrice = fc
  .record({
    base: anyRates,
    long: anyRates,
    above: fc.integer({ min: 1, max: 1_000_000 }),
    fee: fc.bigInt({ min: 0n, max: 50_000_000n }),
  })
  .map(({ base, long, above, fee }) =>
    priced(
      [
        { above: 0, rates: base },
        { above, rates: long },
      ],
      { toolFees: { web_search: fee } },
    ),
  )
const anyFactors = fc.record({
  markup: fc.constantFrom(0n, 125_000n, 500_000n, 1_000_001n),
  level: fc.constantFrom(500_000n, 1_000_000n, 2_000_000n),
  tier: fc.constantFrom(500_000n, 1_000_000n, 2_000_000n),
  allowBelowCost: fc.boolean(),
})

describe('for any usage, price and factors', () => {
  test('Parts add up to the charge, reasoning lies inside output, and cost is covered.', () => {
    fc.assert(
      fc.property(anyUsage, anyPrice, anyFactors, (usage, price, factors) => {
        const { microcredits, apiCost, markupApplied, parts } = charge({ usage, price, ...factors })
        expect(parts.input + parts.cacheRead + parts.cacheWrite + parts.output + parts.tools).toBe(microcredits)
        expect(parts.reasoning <= parts.output).toBe(true)
        expect(markupApplied).toBe(microcredits - apiCost)
        if (!factors.allowBelowCost) expect(microcredits >= apiCost).toBe(true)
      }),
    )
  })

  test('The charge is the exact rational number, rounded up.', () => {
    fc.assert(
      fc.property(anyUsage, anyPrice, anyFactors, (usage, price, { markup, level, tier }) => {
        const rates = inputTokens(usage) > (price.tiers[1]?.above ?? 0) ? price.tiers[1]?.rates : price.tiers[0]?.rates
        if (rates === undefined) throw new Error('unreachable')
        const buckets = [
          'input',
          'cacheRead',
          'cacheWrite5m',
          'cacheWrite1h',
          'output',
          'audioInput',
          'audioOutput',
          'imageOutput',
        ] as const
        const byTokens = buckets.reduce((sum, bucket) => sum + BigInt(usage[bucket]) * rates[bucket], 0n) * tier
        const fees = BigInt(usage.toolFees.web_search ?? 0) * (price.toolFees.web_search ?? 0n)
        const exact = (byTokens + fees * 10n ** 12n) * (10n ** 6n + markup) * level
        const { microcredits } = charge({ usage, price, markup, level, tier, allowBelowCost: true })
        expect(microcredits * 10n ** 24n >= exact).toBe(true)
        expect((microcredits - 1n) * 10n ** 24n < exact).toBe(true)
      }),
    )
  })

  test('More output never costs less.', () => {
    fc.assert(
      fc.property(anyUsage, anyPrice, anyFactors, fc.nat(100_000), (usage, price, factors, more) => {
        const less = charge({ usage, price, ...factors }).microcredits
        expect(
          charge({ usage: { ...usage, output: usage.output + more }, price, ...factors }).microcredits >= less,
        ).toBe(true)
      }),
    )
  })

  test('A quote covers every charge within its counts.', () => {
    fc.assert(
      fc.property(
        anyUsage,
        anyPrice,
        anyFactors,
        fc.integer({ min: 1, max: 4 }),
        fc.nat(1_000_000),
        (usage, price, factors, choices, slack) => {
          const text = usage.input + usage.cacheRead + usage.cacheWrite5m + usage.cacheWrite1h
          const estimate = {
            tokens: text,
            bytes: text + slack,
            media: 0,
            audioInput: usage.audioInput,
            toolFees: usage.toolFees,
          }
          const bound = quote({ estimate, choices, price, ...factors, audioOutput: true, longCacheWrites: true })
          const perChoice = Math.ceil(outputTokens(usage) / choices)
          const { microcredits } = charge({ usage, price, ...factors })
          expect(bound.input + bound.outputFor(perChoice) >= microcredits).toBe(true)
          expect(bound.inputBytes >= bound.input).toBe(true)
        },
      ),
    )
  })
})
