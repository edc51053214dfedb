import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { NO_USAGE } from '../../providers/usage.ts'
import { charge } from '../../src/metering/charge.ts'
import type { Price, Rates } from '../../src/metering/price.ts'
import { type QuoteInput, quote } from '../../src/metering/quote.ts'

const RATES: Rates = {
  input: 150_000_000n,
  cacheRead: 75_000_000n,
  cacheWrite5m: 150_000_000n,
  cacheWrite1h: 300_000_000n,
  output: 600_000_000n,
  audioInput: 10_000_000_000n,
  audioOutput: 20_000_000_000n,
  imageOutput: 600_000_000n,
}

function priced(tiers: Price['tiers'], more: Partial<Price> = {}): Price {
  return { source: 'data_set', reference: 'a test', tiers, toolFees: {}, contextWindow: 128_000, ...more }
}

const NOTHING = { tokens: 0, bytes: 0, media: 0, audioInput: 0, toolFees: {} }

function quoted(more: Partial<QuoteInput>, estimate: Partial<QuoteInput['estimate']> = {}) {
  return quote({
    estimate: { ...NOTHING, ...estimate },
    choices: 1,
    price: priced([{ above: 0, rates: RATES }]),
    markup: 500_000n,
    level: 1_000_000n,
    allowBelowCost: false,
    audioOutput: false,
    ...more,
  })
}

describe('a quote', () => {
  test('A quote prices the input twice, as estimated and as a token a byte.', () => {
    // 1,000 x 150 nano-dollars x 1.5, and four times as much
    const { input, inputBytes } = quoted({}, { tokens: 1_000, bytes: 4_000 })
    expect(input).toBe(225_000n)
    expect(inputBytes).toBe(900_000n)
  })

  test('A quote adds media to both, sound at its own rate, and tool fees.', () => {
    const price = priced([{ above: 0, rates: RATES }], { toolFees: { web_search: 10_000_000n } })
    const { input, inputBytes } = quoted(
      { price },
      { tokens: 100, bytes: 400, media: 900, audioInput: 10, toolFees: { web_search: 1 } },
    )
    // (1,000 x 150 + 10 x 10,000 + 10,000,000) x 1.5 and 300 tokens more
    expect(input).toBe(15_375_000n)
    expect(inputBytes).toBe(15_442_500n)
  })

  test('A quote multiplies output by the choices asked for.', () => {
    expect(quoted({}).outputFor(100)).toBe(90_000n)
    expect(quoted({ choices: 3 }).outputFor(100)).toBe(270_000n)
    expect(quoted({ choices: 3 }).outputTokensIn(270_000n)).toBe(100)
    expect(quoted({ choices: 3 }).outputTokensIn(269_999n)).toBe(99)
  })

  test('A quote prices output as sound where the request asks for sound.', () => {
    expect(quoted({ audioOutput: true }).outputFor(100)).toBe(3_000_000n)
  })

  test('A quote prices input at what writing it to the cache costs, for an hour only where asked.', () => {
    const price = priced([{ above: 0, rates: { ...RATES, cacheWrite5m: 200_000_000n } }])
    expect(quoted({ price }, { tokens: 1_000 }).input).toBe(300_000n)
    expect(quoted({ price, longCacheWrites: true }, { tokens: 1_000 }).input).toBe(450_000n)
  })

  test('A quote takes the dearest tier that the bytes can reach, for output too.', () => {
    const long = { ...RATES, input: 300_000_000n, output: 900_000_000n }
    const price = priced([
      { above: 0, rates: RATES },
      { above: 200_000, rates: long },
    ])
    expect(quoted({ price }, { tokens: 50_000, bytes: 200_000 }).outputFor(1_000)).toBe(900_000n)
    const reaching = quoted({ price }, { tokens: 50_000, bytes: 200_001 })
    expect(reaching.outputFor(1_000)).toBe(1_350_000n)
    expect(reaching.input).toBe(22_500_000n)
  })

  test('A quote covers predicted text at the output rate, beyond any cap.', () => {
    // 100 x 150 + 40 x 600 nano-dollars, x 1.5; a token a byte: 400 x 150 + 160 x 600
    const { input, inputBytes } = quoted({}, { tokens: 100, bytes: 400, predicted: { tokens: 40, bytes: 160 } })
    expect([input, inputBytes]).toEqual([58_500n, 234_000n])
  })

  test('A quote covers media and sound at most, and tells what of it may be left unheld.', () => {
    // 128,000 x 150 x 1.5 for media, which are said to be 28,000 at least; sound is known exactly.
    const least = { media: 28_000, audioInput: 128_000, window: true }
    expect(quoted({}, { media: 128_000, least: { media: 28_000, audioInput: 0, window: false } })).toMatchObject({
      input: 28_800_000n,
      uncertain: 22_500_000n,
    })
    expect(quoted({}, { audioInput: 128_000 })).toMatchObject({ input: 1_920_000_000n, uncertain: 0n })
    // Nothing tells how much of the window is used: a third of it is covered, which 28,000 and the sound are beside.
    const bound = { media: 28_000, least, audioInput: 128_000, contextBound: true }
    expect(quoted({}, bound).uncertain).toBe(BigInt((128_000 - Math.ceil(128_000 / 3)) * 150 * 1.5))
    // An image of unknown rules is held at its usual size.
    const image = { tokens: 10, least: { media: 1_500, audioInput: 0, window: false }, contextBound: true }
    expect(quoted({}, image).uncertain).toBe(BigInt((128_000 - 1_510) * 150 * 1.5))
  })

  test('A quote covers a window of sound where what nothing bounds may be sound.', () => {
    const bytes = quoted({}, { tokens: 10, contextBound: true, unboundedSound: true })
    expect([bytes.input, bytes.inputBytes]).toEqual([1_920_000_000n, 1_920_000_000n])
  })

  test('A quote covers the whole context window where nothing else bounds the input.', () => {
    expect(quoted({}, { tokens: 10, contextBound: true }).input).toBe(28_800_000n)
    const unknown = priced([{ above: 0, rates: RATES }], { contextWindow: null })
    expect(() => quoted({ price: unknown }, { contextBound: true })).toThrow(RangeError)
  })

  test('A quote for free input and N output tokens is the charge of N output tokens, to the microcredit.', () => {
    const price = priced([
      { above: 0, rates: { ...RATES, input: 0n, cacheRead: 0n, cacheWrite5m: 0n, output: 333_333n, imageOutput: 0n } },
    ])
    for (const n of [1, 2, 3, 256, 4_096, 16_384]) {
      const bound = quoted({ price, markup: 125_000n }, { tokens: 50, bytes: 200 })
      const usage = { ...NO_USAGE, input: 50, output: n }
      const { microcredits } = charge({ usage, price, markup: 125_000n, level: 1_000_000n, allowBelowCost: false })
      expect(bound.input + bound.outputFor(n)).toBe(microcredits)
    }
  })

  test('Free output fits any number of tokens; of dear output none fits in nothing.', () => {
    const free = priced([{ above: 0, rates: { ...RATES, output: 0n, imageOutput: 0n } }])
    expect(quoted({ price: free }).outputTokensIn(0n)).toBe(Number.MAX_SAFE_INTEGER)
    expect(quoted({}).outputTokensIn(0n)).toBe(0)
    expect(quoted({}).outputTokensIn(-5n)).toBe(0)
  })

  test('A quote inverts exactly: the tokens that fit, fit, and one more does not.', () => {
    const rate = fc.bigInt({ min: 1_000_000n, max: 200_000_000_000n })
    const factors = fc.record({
      markup: fc.constantFrom(0n, 125_000n, 500_000n),
      level: fc.constantFrom(500_000n, 1_000_000n, 2_000_000n),
      allowBelowCost: fc.boolean(),
      choices: fc.integer({ min: 1, max: 5 }),
    })
    fc.assert(
      fc.property(rate, factors, fc.bigInt({ min: 0n, max: 10n ** 12n }), (output, given, amount) => {
        const bound = quoted({
          price: priced([{ above: 0, rates: { ...RATES, output, imageOutput: output } }]),
          ...given,
        })
        const tokens = bound.outputTokensIn(amount)
        expect(bound.outputFor(tokens) <= amount).toBe(true)
        expect(bound.outputFor(tokens + 1) > amount).toBe(true)
      }),
    )
  })
})
