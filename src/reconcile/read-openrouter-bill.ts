/**
 * OpenRouter's activity of the last 30 days that ended: https://openrouter.ai/docs/api/api-reference/analytics. Wants a management key.
 * Its rows name no key; it can be asked for one key at a time, by its hash. What is spent under keys of the account's own at other
 * providers (`byok_usage_inference`) is no part of its bill.
 */
import { z } from 'zod'
import { type Bill, type BilledLine, type BilledUse, daysOf, nanoDollars, type Span } from './bill.ts'
import { getJson, type Source } from './get-json.ts'

const activity = z.object({
  data: z.array(
    z.object({
      date: z.string(),
      model: z.string(),
      usage: z.number(),
      requests: z.number().default(0),
      prompt_tokens: z.number().default(0),
      completion_tokens: z.number().default(0),
    }),
  ),
})

/** @param keys hashes of keys to tell apart; what is of none of them has no key. */
export async function readOpenrouterBill(source: Source, span: Span, keys: readonly string[]): Promise<Bill> {
  const bill: Bill = { lines: [], use: [] }
  for (const day of daysOf(span)) {
    const all = await activityOf(source, day, null)
    const named = []
    for (const key of keys) named.push(await activityOf(source, day, key))
    for (const part of named) addTo(bill, part)
    addTo(bill, less(all, named))
  }
  return bill
}

async function activityOf(source: Source, day: string, key: string | null): Promise<Bill> {
  const query = [['date', day] as const, ...(key === null ? [] : [['api_key_hash', key] as const])]
  const { data } = await getJson(source, '/activity', query, activity)
  return {
    lines: data.map(({ model, usage }) => ({ day, model, key, nanoDollars: nanoDollars(usage) })),
    use: data.map(({ model, requests, prompt_tokens, completion_tokens }) => ({
      ...{ day, model, key, calls: requests },
      ...{ inputTokens: prompt_tokens, outputTokens: completion_tokens },
    })),
  }
}

function addTo(bill: Bill, { lines, use }: Bill): void {
  bill.lines.push(...lines)
  bill.use.push(...use)
}

/** What is left of the whole when the named keys are taken out. */
function less(all: Bill, parts: readonly Bill[]): Bill {
  const out = { lines: parts.flatMap(({ lines }) => lines), use: parts.flatMap(({ use }) => use) }
  return {
    lines: [
      ...all.lines,
      ...out.lines.map((one): BilledLine => ({ ...one, key: null, nanoDollars: -one.nanoDollars })),
    ],
    use: [
      ...all.use,
      ...out.use.map(
        (one): BilledUse => ({
          ...{ ...one, key: null, calls: -(one.calls ?? 0) },
          ...{ inputTokens: -one.inputTokens, outputTokens: -one.outputTokens },
        }),
      ),
    ],
  }
}
