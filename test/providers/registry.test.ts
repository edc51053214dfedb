/** Under which names the price data set lists what a provider serves. */
import { describe, expect, test } from 'vitest'
import { findProvider, PROVIDERS, providerNames } from '../../providers/registry.ts'
import { findPrice } from '../../src/metering/price.ts'

const at = new Date('2026-06-01')

function referenceOf(name: string, model: string): string | null {
  const listed = findProvider(name)?.listedAs(model) ?? null
  const price = findPrice({ listed, at, operator: null })
  return price === null ? null : price.reference.replace(/^\S+ /, '')
}

describe('a provider of the registry', () => {
  test.each([
    ['openai', 'gpt-4o-mini', 'openai/gpt-4o-mini'],
    ['anthropic', 'claude-sonnet-4-5-20250929', 'anthropic/claude-sonnet-4-5'],
    ['groq', 'llama-3.3-70b-versatile', 'groq/llama-3.3-70b-versatile'],
    ['xai', 'grok-4.6', 'x-ai/grok-4.6'],
    ['openrouter', 'openai/gpt-4o-mini', 'openrouter/openai/gpt-4o-mini'],
    ['huggingface', 'Qwen/Qwen3-VL-8B-Instruct:together', 'huggingface_together/Qwen/Qwen3-VL-8B-Instruct'],
    // LiteLLM's way to write it.
    ['huggingface', 'together/Qwen/Qwen3-VL-8B-Instruct', 'huggingface_together/Qwen/Qwen3-VL-8B-Instruct'],
    ['huggingface', 'Qwen/Qwen3-VL-8B-Instruct', null],
    ['huggingface', 'Qwen/Qwen3-VL-8B-Instruct:fastest', null],
    ['openai', 'no-such-model', null],
  ])('%s lists %s as %s.', (name, model, reference) => {
    expect(referenceOf(name, model)).toBe(reference)
  })

  test('A provider of the registry stands under its own name.', () => {
    for (const name of providerNames()) expect(PROVIDERS[name]?.name).toBe(name)
    expect(findProvider('toString')).toBeNull()
  })
})
