import { readFileSync } from 'node:fs'
import { findProvider } from '@pydantic/genai-prices'
import { describe, expect, test } from 'vitest'
import type { OperatorPrice } from '../../src/config/operator-price.ts'
import { DATA_SET } from '../../src/metering/listed-price.ts'
import { createPriceBook, findPrice, type Price, ratesFor } from '../../src/metering/price.ts'

const at = new Date('2026-10-01T12:00:00Z')

const NOTHING_WRITTEN: OperatorPrice = {
  input: null,
  output: null,
  cacheRead: null,
  cacheWrite5m: null,
  cacheWrite1h: null,
  audioInput: null,
  audioOutput: null,
  imageOutput: null,
  tiers: [],
}

function listed(provider: string, model: string, instant = at): Price | null {
  return findPrice({ listed: { provider, model }, at: instant, operator: null })
}

function operated(model: string, written: Partial<OperatorPrice>): Price | null {
  return findPrice({ listed: { provider: 'openai', model }, at, operator: { ...NOTHING_WRITTEN, ...written } })
}

describe('the data set', () => {
  test('The data set gives integers: gpt-4o-mini costs 150,000,000 nano-dollars per million input tokens.', () => {
    expect(listed('openai', 'gpt-4o-mini')).toEqual({
      source: 'data_set',
      reference: `${DATA_SET} openai/gpt-4o-mini`,
      tiers: [
        {
          above: 0,
          rates: {
            input: 150_000_000n,
            cacheRead: 75_000_000n,
            cacheWrite5m: 150_000_000n,
            cacheWrite1h: 150_000_000n,
            output: 600_000_000n,
            audioInput: 150_000_000n,
            audioOutput: 600_000_000n,
            imageOutput: 600_000_000n,
          },
        },
      ],
      toolFees: { web_search: 10_000_000n, file_search: 2_500_000n },
      contextWindow: 128_000,
    })
  })

  test('The data set is the installed package, which every reference names.', () => {
    const path = new URL('../../node_modules/@pydantic/genai-prices/package.json', import.meta.url)
    expect(DATA_SET).toBe(`genai-prices@${JSON.parse(readFileSync(path, 'utf8')).version}`)
  })

  test('The data set answers for the provider that was meant, and for no other of a similar name.', () => {
    expect(listed('x-ai', 'grok-4.6')?.reference).toBe(`${DATA_SET} x-ai/grok-4.6`)
    expect(listed('xai', 'grok-4.6')).toBeNull()
    expect(listed('nobody', 'gpt-4o-mini')).toBeNull()
  })

  test('The data set reads a float with noise as the price it stands for: 0.18000000000000002 is 0.18.', () => {
    expect(listed('huggingface_together', 'Qwen/Qwen3-VL-8B-Instruct')?.tiers[0]?.rates.input).toBe(180_000_000n)
  })

  test('The data set has no price for an unknown model, and none for a row without numbers: zero must be written.', () => {
    expect(listed('openai', 'no-such-model')).toBeNull()
    expect(listed('openrouter', 'allenai/molmo-7b-d:free')).toBeNull()
    expect(listed('openai', 'whisper-1')).toBeNull()
  })

  test('The data set changes price on the day the provider did.', () => {
    expect(listed('openai', 'o3', new Date('2025-06-09T23:59:59Z'))?.tiers[0]?.rates.output).toBe(40_000_000_000n)
    expect(listed('openai', 'o3', new Date('2025-06-10T00:00:00Z'))?.tiers[0]?.rates.output).toBe(8_000_000_000n)
  })

  test('The data set prices cached sound apart where it lists it.', () => {
    const rates = listed('google', 'gemini-2.5-flash')?.tiers[0]?.rates
    expect([rates?.cacheRead, rates?.cacheReadAudio]).toEqual([30_000_000n, 100_000_000n])
    expect(listed('openai', 'gpt-4o-mini')?.tiers[0]?.rates).not.toHaveProperty('cacheReadAudio')
  })

  test('The data set prices sound apart where it lists it.', () => {
    const rates = listed('openai', 'gpt-audio')?.tiers[0]?.rates
    expect(rates?.audioInput).toBe(32_000_000_000n)
    expect(rates?.audioOutput).toBe(64_000_000_000n)
  })

  test('The data set has whole-request tiers: more tokens than the threshold, not as many.', () => {
    const price = listed('openai', 'gpt-6-luna') as Price
    expect(price.tiers.map((tier) => tier.above)).toEqual([0, 272_000])
    expect(ratesFor(price, 271_999).input).toBe(100_000_000n)
    expect(ratesFor(price, 272_000).input).toBe(100_000_000n)
    expect(ratesFor(price, 272_001).input).toBe(200_000_000n)
    expect(ratesFor(price, 272_001).output).toBe(750_000_000n)
    expect(ratesFor(price, 0).output).toBe(500_000_000n)
  })

  test('Every listed model of every provider either has a whole price or none.', () => {
    for (const [name, id] of Object.entries({
      openai: 'openai',
      anthropic: 'anthropic',
      gemini: 'google',
      groq: 'groq',
      xai: 'x-ai',
      openrouter: 'openrouter',
    })) {
      for (const model of findProvider({ providerId: id })?.models ?? []) {
        const price = listed(name, model.id)
        for (const tier of price?.tiers ?? [])
          for (const rate of Object.values(tier.rates)) expect(rate).toBeGreaterThanOrEqual(0n)
      }
    }
  })
})

describe('the operator', () => {
  test('The operator wins, bucket by bucket; cached input costs what uncached does unless written.', () => {
    const price = operated('gpt-4o-mini', { input: 200_000_000n, output: 700_000_000n })
    expect(price?.source).toBe('operator')
    expect(price?.reference).toBe('config.yaml')
    expect(price?.tiers[0]?.rates).toMatchObject({ input: 200_000_000n, cacheRead: 200_000_000n, output: 700_000_000n })
    const cached = operated('gpt-4o-mini', { input: 200_000_000n, output: 700_000_000n, cacheRead: 50_000_000n })
    expect(cached?.tiers[0]?.rates.cacheRead).toBe(50_000_000n)
  })

  test('The operator may price one side and leave the other to the data set.', () => {
    const price = operated('gpt-4o-mini', { output: 700_000_000n })
    expect(price?.reference).toBe(`config.yaml, ${DATA_SET} openai/gpt-4o-mini`)
    expect(price?.tiers[0]?.rates).toMatchObject({ input: 150_000_000n, cacheRead: 75_000_000n, output: 700_000_000n })
  })

  test('The operator prices a model nobody lists, whole or not at all.', () => {
    expect(operated('in-house', { input: 1n, output: 2n })?.tiers[0]?.rates).toMatchObject({ input: 1n, output: 2n })
    expect(operated('in-house', { input: 1n })).toBeNull()
    expect(operated('in-house', { output: 1n })).toBeNull()
  })

  test('The operator makes a model free by writing zero, sound included.', () => {
    const rates = operated('gpt-audio', { input: 0n, output: 0n })?.tiers[0]?.rates ?? {}
    expect(new Set(Object.values(rates))).toEqual(new Set([0n]))
  })

  test('The operator who wrote nothing has no price: the data set stands.', () => {
    expect(operated('gpt-4o-mini', {})).toEqual(listed('openai', 'gpt-4o-mini'))
  })

  test('The operator has tiers of its own; what a tier leaves out is as below it.', () => {
    const price = operated('in-house', {
      input: 10n,
      output: 20n,
      cacheRead: 1n,
      tiers: [
        { above: 128_000, input: 15n, output: null, cacheRead: null, cacheWrite5m: null },
        { above: 200_000, input: null, output: 40n, cacheRead: 3n, cacheWrite5m: null },
      ],
    }) as Price
    expect(ratesFor(price, 128_000)).toMatchObject({ input: 10n, output: 20n, cacheRead: 1n })
    expect(ratesFor(price, 128_001)).toMatchObject({ input: 15n, output: 20n, cacheRead: 1n })
    expect(ratesFor(price, 200_001)).toMatchObject({ input: 15n, output: 40n, cacheRead: 3n })
  })

  test('The operator who prices a model flat is not overruled by a tier of the data set.', () => {
    expect(operated('gpt-6-luna', { input: 10n, output: 20n })?.tiers).toHaveLength(1)
  })

  test('The operator sets tool fees over the data set.', () => {
    const price = findPrice({
      listed: { provider: 'openai', model: 'gpt-4o' },
      at,
      operator: null,
      toolFees: { web_search: 25_000_000n },
    })
    expect(price?.toolFees).toEqual({ web_search: 25_000_000n, file_search: 2_500_000n })
  })
})

describe('the price book', () => {
  test('The price book returns what a search finds, and the same object the second time.', () => {
    const book = createPriceBook()
    const operator = { ...NOTHING_WRITTEN, input: 5n, output: 6n }
    for (const question of [
      { listed: { provider: 'openai', model: 'gpt-4o' }, at, operator: null },
      { listed: { provider: 'openai', model: 'gpt-4o' }, at, operator },
      { listed: { provider: 'openai', model: 'o3' }, at: new Date('2025-01-01'), operator: null },
      { listed: { provider: 'openai', model: 'o3' }, at, operator: null },
      { listed: { provider: 'openai', model: 'none' }, at, operator: null },
      { listed: { provider: 'openai', model: 'none' }, at, operator },
    ]) {
      const first = book.find(question)
      expect(first).toEqual(findPrice(question))
      expect(book.find(question)).toBe(first)
    }
  })

  test('The price book stays right when more names are asked for than it remembers.', () => {
    const book = createPriceBook()
    for (let i = 0; i < 2_500; i++)
      expect(book.find({ listed: { provider: 'groq', model: `unknown-${i}` }, at, operator: null })).toBeNull()
    expect(
      book.find({ listed: { provider: 'openai', model: 'gpt-4o' }, at, operator: null })?.tiers[0]?.rates.input,
    ).toBe(2_500_000_000n)
  })
})
