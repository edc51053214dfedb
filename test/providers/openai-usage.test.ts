import { describe, expect, test } from 'vitest'
import { readOpenAiUsage } from '../../providers/openai-usage.ts'
import { NO_USAGE, usageRecord } from '../../providers/usage.ts'

describe('usage of OpenAI', () => {
  test('Usage of OpenAI is taken apart into buckets that do not overlap.', () => {
    const raw = {
      prompt_tokens: 1_000,
      completion_tokens: 500,
      total_tokens: 1_500,
      prompt_tokens_details: { cached_tokens: 600, cache_write_tokens: 100, audio_tokens: 50 },
      completion_tokens_details: {
        reasoning_tokens: 320,
        audio_tokens: 80,
        accepted_prediction_tokens: 0,
        rejected_prediction_tokens: 0,
      },
    }
    const reading = readOpenAiUsage(raw)
    expect(reading).toEqual({
      usage: {
        ...NO_USAGE,
        input: 250,
        cacheRead: 600,
        cacheWrite5m: 100,
        audioInput: 50,
        output: 420,
        reasoning: 320,
        audioOutput: 80,
      },
      total: 1_500,
      consistent: true,
    })
    expect(usageRecord(reading?.usage ?? NO_USAGE)).toEqual(raw)
  })

  test('Usage of OpenAI is complete without details and without a total.', () => {
    expect(readOpenAiUsage({ prompt_tokens: 7, completion_tokens: 3 })).toEqual({
      usage: { ...NO_USAGE, input: 7, output: 3 },
      total: null,
      consistent: true,
    })
    expect(
      readOpenAiUsage({ prompt_tokens: 7, completion_tokens: 3, total_tokens: 10, prompt_tokens_details: null })
        ?.consistent,
    ).toBe(true)
  })

  test('Usage of OpenAI may be zero where zero was said.', () => {
    expect(readOpenAiUsage({ prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 })?.usage).toEqual(NO_USAGE)
  })

  test.each([
    ['nothing', undefined],
    ['null', null],
    ['a list', [1, 2]],
    ['a text', '10'],
    ['no input', { completion_tokens: 3 }],
    ['no output', { prompt_tokens: 3 }],
    ['a negative count', { prompt_tokens: -1, completion_tokens: 3 }],
    ['a fraction', { prompt_tokens: 1.5, completion_tokens: 3 }],
    ['a count in quotes', { prompt_tokens: '12', completion_tokens: 3 }],
    ['not a number', { prompt_tokens: Number.NaN, completion_tokens: 3 }],
    ['infinity', { prompt_tokens: 3, completion_tokens: Number.POSITIVE_INFINITY }],
    ['more than an integer holds', { prompt_tokens: 2 ** 60, completion_tokens: 3 }],
  ])('Usage of OpenAI is missing, not zero: %s.', (_, raw) => {
    expect(readOpenAiUsage(raw)).toBeNull()
  })

  test('Usage of OpenAI with a part larger than its whole is cut down and marked.', () => {
    const reading = readOpenAiUsage({
      prompt_tokens: 100,
      completion_tokens: 10,
      total_tokens: 110,
      prompt_tokens_details: { cached_tokens: 90, cache_write_tokens: 30 },
      completion_tokens_details: { reasoning_tokens: 11 },
    })
    expect(reading?.usage).toEqual({ ...NO_USAGE, cacheRead: 90, cacheWrite5m: 10, output: 10, reasoning: 10 })
    expect(reading?.consistent).toBe(false)
  })

  test('Usage of OpenAI with a total that is not the sum is marked.', () => {
    expect(readOpenAiUsage({ prompt_tokens: 11, completion_tokens: 25, total_tokens: 727 })).toMatchObject({
      total: 727,
      consistent: false,
    })
  })

  test('Usage of OpenAI ignores a part that is not a count.', () => {
    const reading = readOpenAiUsage({
      prompt_tokens: 5,
      completion_tokens: 5,
      total_tokens: 10,
      prompt_tokens_details: { cached_tokens: -2 },
    })
    expect(reading).toMatchObject({ usage: { input: 5, cacheRead: 0 }, consistent: true })
  })
})
