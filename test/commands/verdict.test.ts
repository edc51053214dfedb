/** How check-config ends, and when a start stops for want of protection. */
import { expect, test } from 'vitest'
import { PROVIDERS } from '../../providers/registry.ts'
import { refuseUnenforced } from '../../src/commands/unenforced.ts'
import { unpricedLine } from '../../src/commands/unpriced.ts'
import { verdict } from '../../src/commands/verdict.ts'
import { loadConfig } from '../../src/config/load.ts'

const NOW = new Date('2026-06-01T00:00:00Z')

function read(text: string) {
  const { config, problems } = loadConfig(text, 'config.yaml', {}, { embedded: true, providers: PROVIDERS })
  if (config === null) throw new Error(JSON.stringify(problems))
  return { config, problems }
}

const verdictOf = (text: string, accepts: string[] = []) =>
  verdict({ ...read(text), accepts: new Set(accepts), now: NOW })

const MIXED = `model_list:
  - {model_name: gpt, litellm_params: {model: openai/gpt-4o, api_key: k1}}
  - {model_name: gpt, litellm_params: {model: acme/gpt, api_key: k2}}
  - {model_name: lost, litellm_params: {model: acme/lost}}
  - {model_name: home, litellm_params: {model: openai/llama, api_base: "http://gpu-box:8000/v1", api_key: none}}
  - {model_name: away, litellm_params: {model: openai/llama, api_base: "https://llm.example.com/v1", api_key: none}}
  - {model_name: vectors, litellm_params: {model: openai/bge-m3, api_base: "https://llm.example.com/v1", api_key: none}}
  - {model_name: blue, litellm_params: {model: azure/our-gpt, api_base: "https://a.openai.azure.com", api_key: none}}
  - {model_name: openai/*, litellm_params: {model: openai/*}}
litellm_settings: {max_internal_user_budget: 5, cache: true, made_up: 1, callbacks: [my_code.hook]}
router_settings: {cache_responses: true}
`

test('check-config ends with what serves, what is refused and why, what protects nobody, and what has no effect.', () => {
  expect(verdictOf(MIXED, ['callbacks'])).toEqual([
    'no price is known; add',
    '  to litellm_params of home (llama):',
    '      input_cost_per_token: 0',
    '      output_cost_per_token: 0',
    '  to litellm_params of away (llama):',
    '      input_cost_per_token: <dollars>',
    '      output_cost_per_token: <dollars>',
    '  to litellm_params of vectors (bge-m3):',
    '      input_cost_per_token: <dollars>',
    '  to litellm_params of blue (our-gpt):',
    '      base_model: <the model behind it>',
    '',
    'serves: 2 of 7 model groups: gpt, openai/*',
    'refused at the call: home, away, vectors, blue (no price: the lines above); lost (no such provider here: "acme")',
    'not enforced: max_internal_user_budget (a start stops at it: --accept-unenforced max_internal_user_budget); callbacks (accepted)',
    'no effect: cache, cache_responses; unknown: made_up',
  ])
})

test('A file that serves everything and asks for nothing that is missing has a verdict of four lines.', () => {
  expect(
    verdictOf('model_list:\n  - {model_name: demo, litellm_params: {model: openai/gpt-4o, mock_response: hi}}'),
  ).toEqual([
    'serves: 1 of 1 model group: demo',
    'refused at the call: none',
    'not enforced: nothing that this file asks for',
    'no effect: none',
  ])
})

test('The lines of the verdict are what gives a group its price.', () => {
  const priced = MIXED.replace(
    'api_base: "http://gpu-box:8000/v1"',
    '$&, input_cost_per_token: 0, output_cost_per_token: 0',
  )
  expect(verdictOf(priced).join('\n')).toContain('serves: 3 of 7 model groups: gpt, home, openai/*')
})

test('A start names the groups without a price in one line.', () => {
  expect(unpricedLine(read(MIXED).config, NOW)).toBe(
    'No price is known for deployments of home, away, vectors, blue, so they get no calls: set input_cost_per_token and output_cost_per_token; tollgate check-config has the lines to add.',
  )
})

test('A start stops where the file asks for protection that is not enforced, until the operator does without all of it by name.', () => {
  const { problems } = read(MIXED)
  expect(() => refuseUnenforced(problems, new Set(['callbacks']))).toThrow(
    'The configuration asks for protection that is not enforced here: max_internal_user_budget. Leave it out, or say that you do without: --accept-unenforced callbacks,max_internal_user_budget. Nothing was started.',
  )
  expect(() => refuseUnenforced(problems, new Set(['callbacks', 'max_internal_user_budget']))).not.toThrow()
})
