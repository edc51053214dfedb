/** A complete answer: what it says, what it cost, and nothing else changed. */
import type { Expect } from './check.ts'
import { checkText, toolCalls } from './check-content.ts'
import { COST_MEMBERS, checkShownUsage } from './check-usage.ts'
import { dialectOf, isComparable } from './dialects.ts'
import { expectedFinish } from './expected.ts'
import { type Json, object, parse, placesOf } from './frames.ts'
import type { Oracle, Recording } from './recording.ts'
import type { Replayed } from './replay.ts'

interface Choice {
  finish_reason?: unknown
  message?: Json
}

export function checkJson(recording: Recording, oracle: Oracle, replayed: Replayed, expect: Expect): void {
  const body = object(parse(replayed.body.toString()))
  const choices = (body?.choices ?? []) as Choice[]
  const message = choices[0]?.message
  const recorded = object(parse(recording.body.toString()))
  const { speaksOpenAi } = dialectOf(recording.provider)
  // What a provider of the dialect leaves out is left out.
  if (!speaksOpenAi || recorded?.object !== undefined) expect('object', body?.object, 'chat.completion')
  checkText(message?.content, oracle, expect)
  expect('tool calls', toolCalls(message?.tool_calls), oracle.tool_calls)
  expect('finish reason', choices[0]?.finish_reason, expectedFinish(recording, oracle))
  checkShownUsage('usage', object(body?.usage), recording, oracle, replayed, expect)
  expect('cost members of the provider', placesOf(body, COST_MEMBERS), [])
  checkCostHeaders(replayed, expect)
  if (body !== null && 'model' in body) expect('model', body.model, replayed.sent.model)
  if (isComparable(recording)) expect('the rest of the answer', rest(body), rest(recorded))
}

/** All but usage, the model, which is the name that was asked for, and the words for the end where they are not OpenAI's. */
function rest(body: Json | null): Json {
  const { usage: _, model: ___, choices, ...others } = body ?? {}
  const kept = ((choices ?? []) as Choice[]).map(({ finish_reason: __, ...choice }) => choice)
  return { ...others, choices: kept }
}

function checkCostHeaders({ headers, call }: Replayed, expect: Expect): void {
  const credits = String(headers['x-cost-incurred'])
  expect('X-Cost-Incurred has six decimals', /^\d+\.\d{6}$/.test(credits), true)
  expect('X-Cost-Incurred is what the books say', Number(credits), Number(call?.credits))
}
