/** What `check-config` says that one call can be charged, whatever its payer has. */
import { expect, test } from 'vitest'
import { PROVIDERS } from '../../providers/registry.ts'
import { describeOverdraft } from '../../src/commands/most-overdraft.ts'
import { loadConfig } from '../../src/config/load.ts'

const AT = new Date('2026-11-01T00:00:00Z')

test.for([
  // 85,333 of 128,000 tokens at $2.50 a million, half of it on top, at the dearest level.
  ['gpt-4o', 'of which media that the payer does not cover can be 639.9975 credits'],
  // Nobody tells what an image can be: all of 131,072 tokens at $0.20 a million.
  ['llama', 'of which media that the payer does not cover can be 78.6432 credits'],
  // A window of 9,000 tokens: nothing of it has to be held.
  ['small', 'of which media that the payer does not cover can be 27 credits'],
])('Media of %s are stated.', ([name, words]) => {
  const text = JSON.stringify({
    model_list: [
      { model_name: 'gpt-4o', litellm_params: { model: 'openai/gpt-4o', api_key: 'os.environ/K' } },
      {
        model_name: 'llama',
        litellm_params: { model: 'groq/meta-llama/llama-4-maverick-17b-128e-instruct', api_key: 'os.environ/K' },
      },
      {
        model_name: 'small',
        litellm_params: {
          model: 'openai/small',
          api_key: 'os.environ/K',
          input_cost_per_token: 0.000001,
          output_cost_per_token: 0.000001,
        },
        model_info: { max_input_tokens: 9_000 },
      },
    ],
  })
  const { config } = loadConfig(text, 'config.yaml', { K: 'sk-x' }, { embedded: true, providers: PROVIDERS })
  expect(describeOverdraft(config!, AT).find((line) => line.startsWith(`  ${name}:`))).toContain(words)
})
