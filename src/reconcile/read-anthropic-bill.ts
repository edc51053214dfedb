/**
 * Anthropic's cost and usage reports of an organization: https://platform.claude.com/docs/en/manage-claude/usage-cost-api. Wants an admin
 * key. The cost report knows no keys and states cents; the usage report counts tokens by key and no requests.
 */
import { z } from 'zod'
import { type Bill, dayAfter, nanoDollars, OTHER, type Span } from './bill.ts'
import { getPages, type Query, type Source } from './get-json.ts'

/** $0.01 is 10^7 nano-dollars: an amount in cents, read at seven decimals, is in nano-dollars. */
const CENT_DECIMALS = 7

const page = <Result extends z.ZodType>(result: Result) =>
  z.object({
    data: z.array(z.object({ starting_at: z.string(), results: z.array(result) })),
    has_more: z.boolean().default(false),
    next_page: z.string().nullable().default(null),
  })
const costs = page(z.object({ amount: z.string(), model: z.string().nullish() }))
const usage = page(
  z.object({
    uncached_input_tokens: z.number().default(0),
    cache_read_input_tokens: z.number().default(0),
    cache_creation: z
      .object({ ephemeral_1h_input_tokens: z.number().default(0), ephemeral_5m_input_tokens: z.number().default(0) })
      .nullish(),
    output_tokens: z.number().default(0),
    model: z.string().nullish(),
    api_key_id: z.string().nullish(),
  }),
)

export async function readAnthropicBill(source: Source, { from, to }: Span): Promise<Bill> {
  const span: Query = [
    ['starting_at', `${from}T00:00:00Z`],
    ['ending_at', `${dayAfter(to)}T00:00:00Z`],
    ['bucket_width', '1d'],
    ['limit', '31'],
  ]
  const by = (...names: string[]): Query => names.map((name) => ['group_by[]', name] as const)
  const [billed, used] = [
    await getPages(source, '/organizations/cost_report', [...span, ...by('description')], costs),
    await getPages(source, '/organizations/usage_report/messages', [...span, ...by('model', 'api_key_id')], usage),
  ]
  return {
    lines: billed.flatMap(({ starting_at, results }) =>
      results.map(({ amount, model }) => ({
        day: starting_at.slice(0, 10),
        model: model ?? OTHER,
        key: null,
        nanoDollars: nanoDollars(amount, CENT_DECIMALS),
      })),
    ),
    use: used.flatMap(({ starting_at, results }) =>
      results.map((one) => ({
        day: starting_at.slice(0, 10),
        model: one.model ?? OTHER,
        key: one.api_key_id ?? null,
        calls: null,
        inputTokens:
          one.uncached_input_tokens +
          one.cache_read_input_tokens +
          (one.cache_creation?.ephemeral_1h_input_tokens ?? 0) +
          (one.cache_creation?.ephemeral_5m_input_tokens ?? 0),
        outputTokens: one.output_tokens,
      })),
    ),
  }
}
