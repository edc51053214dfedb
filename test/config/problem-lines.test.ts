/** What a start says of a configuration with problems. */
import { expect, test } from 'vitest'
import { NO_EFFECT, type Problem } from '../../src/config/problem.ts'
import { problemLines } from '../../src/config/problem-lines.ts'

function problem(line: number, path: string, message: string, fix = 'do it'): Problem {
  return { file: 'config.yaml', line, path, message, fix, severity: 'warning' }
}

test('A problem that many deployments share is one line, which names the first place and other lines.', () => {
  const keys = [5, 9, 13, 17, 21, 25, 29].map((line, index) =>
    problem(line, `model_list[${index}].litellm_params.api_key`, 'the environment variable OPENAI_API_KEY is not set'),
  )
  expect(problemLines(keys)).toEqual([
    'config.yaml:5: model_list[0].litellm_params.api_key: the environment variable OPENAI_API_KEY is not set. Fix: do it (also lines 9, 13, 17, 21 and 2 more)',
  ])
  expect(problemLines(keys.slice(0, 2))[0]).toMatch(/Fix: do it \(also line 9\)$/)
})

test('Different problems keep their own lines, in the order of the file; quiet ones are left out.', () => {
  const problems = [
    problem(1, 'a', 'one'),
    problem(2, 'b', 'two'),
    { ...problem(3, 'c', 'three'), quiet: true },
    problem(4, 'd', 'one', 'do something else'),
  ]
  expect(problemLines(problems)).toEqual([
    'config.yaml:1: a: one. Fix: do it',
    'config.yaml:2: b: two. Fix: do it',
    'config.yaml:4: d: one. Fix: do something else',
  ])
})

test('All providers without a key are one line, and a single one keeps its own sentence.', () => {
  const keyless = (line: number, provider: string, ...variables: string[]) => ({
    ...problem(line, 'model_list[0].litellm_params.api_key', `no key for ${provider}`, `set ${variables[0]}`),
    keyless: { provider, variables },
  })
  const problems = [
    keyless(16, 'openai', 'OPENAI_API_KEY'),
    problem(17, 'b', 'two'),
    keyless(16, 'gemini', 'GEMINI_API_KEY', 'GOOGLE_API_KEY'),
    keyless(20, 'openai', 'OPENAI_API_KEY'),
    keyless(20, 'groq', 'GROQ_API_KEY'),
  ]
  expect(problemLines(problems)).toEqual([
    'config.yaml:16: model_list[0].litellm_params.api_key: no key for openai (OPENAI_API_KEY), gemini (GEMINI_API_KEY or GOOGLE_API_KEY), groq (GROQ_API_KEY): only callers with a key of their own can use these providers. Fix: set the variable in the brackets, write api_key, or store a key while Tollgate runs (also line 20)',
    'config.yaml:17: b: two. Fix: do it',
  ])
  expect(problemLines(problems.slice(0, 1))).toEqual([
    'config.yaml:16: model_list[0].litellm_params.api_key: no key for openai. Fix: set OPENAI_API_KEY',
  ])
})

test('Settings without effect are one line together.', () => {
  const idle = [
    problem(3, 'litellm_settings.telemetry', NO_EFFECT),
    problem(5, 'model_list[0].litellm_params.max_retries', NO_EFFECT),
    problem(9, 'model_list[1].litellm_params.max_retries', NO_EFFECT),
  ]
  expect(problemLines(idle)).toEqual([
    'config.yaml: 2 settings of LiteLLM have no effect here: telemetry, max_retries. Nothing to do; tollgate check-config says where.',
  ])
})
