/** What a whole response or a frame of OpenAI's dialect says about what was consumed. */

import { asObject } from './json.ts'
import type { OpenAiFacts } from './openai-facts.ts'
import { readOpenAiUsage } from './openai-usage.ts'
import type { Reading } from './reading.ts'
import { inputTokens, outputTokens, type Usage } from './usage.ts'

type Consumed = Pick<Reading, 'usage' | 'consistent' | 'cost' | 'byModel'>

/** Null: `usage` states nothing usable. */
export function readConsumed(dialect: OpenAiFacts, raw: unknown, chunk: Record<string, unknown>): Consumed | null {
  const stated = asObject(raw)
  const read = stated === null ? null : readOpenAiUsage(stated, dialect.usage)
  if (stated === null || read === null) return null
  const usage = { ...read.usage, toolFees: dialect.readToolUses?.(stated, chunk) ?? {} }
  return {
    usage,
    consistent: read.consistent,
    cost: dialect.readCost?.(stated) ?? null,
    byModel: readParts(dialect, chunk, usage),
  }
}

/** Only parts that add up to the whole can take its place. */
function readParts(dialect: OpenAiFacts, chunk: Record<string, unknown>, whole: Usage): Reading['byModel'] {
  const stated = dialect.readModels?.(chunk) ?? []
  const parts = stated.flatMap(({ model, usage }) => {
    const read = readOpenAiUsage(usage, dialect.usage)
    return read === null ? [] : [{ model, usage: read.usage }]
  })
  const sum = (tokens: (usage: Usage) => number) => parts.reduce((total, part) => total + tokens(part.usage), 0)
  const complete = parts.length > 0 && parts.length === stated.length
  const adds = sum(inputTokens) === inputTokens(whole) && sum(outputTokens) === outputTokens(whole)
  return complete && adds ? parts : null
}
