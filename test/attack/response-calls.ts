/** Calls of POST /v1/responses as tricks make them, and servers that speak it. */
import { message, responds } from '../support/response-answers.ts'
import { rawStream } from '../support/upstream-answers.ts'
import type { Bill } from './bill.ts'
import type { Ask, Provider } from './trick.ts'

type Json = Record<string, unknown>

export const PATH = '/v1/responses'
export const HELLO = { model: 'answering', max_output_tokens: 100, input: 'Say hello' }

export const ask = (more: Json = {}): Ask => ({ path: PATH, text: JSON.stringify({ ...HELLO, ...more }) })

export const usageOf = (input: number, output: number, reasoning = 0): Json => ({
  input_tokens: input,
  input_tokens_details: { cached_tokens: 0 },
  output_tokens: output,
  output_tokens_details: { reasoning_tokens: reasoning },
  total_tokens: input + output,
})
export const TRUE: Bill = { input: 10, output: 5 }
export const GREETING = message('Hello world')

/** Says these items, states this, bills that. */
export const says =
  (output: readonly Json[], usage: Json | null, bill: Bill | null, more: Json = {}): Provider =>
  async (request) => {
    const model = bill?.model ?? 'gpt-4o-mini'
    return { script: await responds(output, { usage, model, more })(request), bill }
  }
export const honest = says([GREETING], usageOf(10, 5), TRUE)

/** These frames, and this bill. */
export const frames =
  (all: readonly string[], bill: Bill | null): Provider =>
  () => ({ script: rawStream(all), bill })
