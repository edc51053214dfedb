import { expect, test } from 'vitest'
import { PROVIDERS } from '../../providers/registry.ts'
import { linesToAdd, unpricedOf } from '../../src/commands/unpriced.ts'
import { loadConfig } from '../../src/config/load.ts'

test('A model that is not billed by tokens is unpriced without the price of its unit; free moderations are not unpriced.', () => {
  const model = (name: string, more = '') =>
    `{model_name: ${name}, litellm_params: {model: openai/${name}, api_key: x${more}}}`
  const models = [
    ...['omni-moderation-latest', 'whisper-1', 'gpt-4o-mini-tts', 'tts-1'].map((name) => model(name)),
    model('tts-1-hd', ', input_cost_per_character: 0.00003'),
    `{model_name: judge, litellm_params: {model: openai/judge, api_key: x}, model_info: {mode: moderation}}`,
  ]
  const { config } = loadConfig(
    `model_list: [${models.join(', ')}]`,
    'config.yaml',
    {},
    { embedded: true, providers: PROVIDERS },
  )
  const found = unpricedOf(config!, new Date('2026-06-01T00:00:00Z'))
  expect(found.map(({ modelName }) => modelName)).toEqual(['tts-1', 'judge'])
  expect(linesToAdd(found)).toEqual([
    '  to litellm_params of tts-1 (tts-1):',
    '      input_cost_per_character: <dollars>',
    '  to litellm_params of judge (judge):',
    '      input_cost_per_token: <dollars>',
  ])
})
