import { expect, test } from 'vitest'
import { inputTokens, NO_USAGE, outputTokens, usageRecord } from '../../providers/usage.ts'

const usage = {
  ...NO_USAGE,
  input: 10,
  cacheRead: 20,
  cacheWrite5m: 3,
  cacheWrite1h: 4,
  audioInput: 5,
  output: 100,
  reasoning: 60,
  audioOutput: 7,
  imageOutput: 8,
}

test('Usage counts every bucket once.', () => {
  expect(inputTokens(usage)).toBe(42)
  expect(outputTokens(usage)).toBe(115)
})

test("Usage is shown with OpenAI's meaning: cached inside prompt_tokens, reasoning inside completion_tokens.", () => {
  expect(usageRecord(usage)).toEqual({
    prompt_tokens: 42,
    completion_tokens: 115,
    total_tokens: 157,
    prompt_tokens_details: { cached_tokens: 20, audio_tokens: 5, cache_write_tokens: 7 },
    completion_tokens_details: {
      reasoning_tokens: 60,
      audio_tokens: 7,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
      image_tokens: 8,
    },
  })
  expect(usageRecord(NO_USAGE)).toEqual({
    prompt_tokens: 0,
    completion_tokens: 0,
    total_tokens: 0,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: 0,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  })
})
