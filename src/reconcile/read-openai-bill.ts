/** OpenAI's costs and usage of an organization: https://platform.openai.com/docs/api-reference/usage. Wants an admin key. */
import { z } from 'zod'
import { type Bill, dayAfter, modelOfItem, nanoDollars, type Span } from './bill.ts'
import { getPages, type Query, type Source } from './get-json.ts'

const amount = z.union([z.number(), z.string()])
const page = <Result extends z.ZodType>(result: Result) =>
  z.object({
    data: z.array(z.object({ start_time: z.number(), results: z.array(result) })),
    has_more: z.boolean().default(false),
    next_page: z.string().nullable().default(null),
  })
const costs = page(
  z.object({
    amount: z.object({ value: amount, currency: z.string() }),
    line_item: z.string().nullish(),
    api_key_id: z.string().nullish(),
  }),
)
const usage = page(
  z.object({
    input_tokens: z.number().default(0),
    output_tokens: z.number().default(0),
    num_model_requests: z.number().default(0),
    model: z.string().nullish(),
    api_key_id: z.string().nullish(),
  }),
)

export async function readOpenaiBill(source: Source, { from, to }: Span): Promise<Bill> {
  const span: Query = [
    ['start_time', seconds(from)],
    ['end_time', seconds(dayAfter(to))],
    ['bucket_width', '1d'],
  ]
  const by = (...names: string[]): Query => names.map((name) => ['group_by', name] as const)
  const [billed, used] = [
    await getPages(source, '/organization/costs', [...span, ['limit', '180'], ...by('line_item', 'api_key_id')], costs),
    await getPages(
      source,
      '/organization/usage/completions',
      [...span, ['limit', '31'], ...by('model', 'api_key_id')],
      usage,
    ),
  ]
  return {
    lines: billed.flatMap(({ start_time, results }) =>
      results.map(({ amount: { value }, line_item, api_key_id }) => ({
        day: dayOf(start_time),
        model: modelOfItem(line_item ?? null),
        key: api_key_id ?? null,
        nanoDollars: nanoDollars(value),
      })),
    ),
    use: used.flatMap(({ start_time, results }) =>
      results.map((one) => ({
        day: dayOf(start_time),
        model: modelOfItem(one.model ?? null),
        key: one.api_key_id ?? null,
        calls: one.num_model_requests,
        inputTokens: one.input_tokens,
        outputTokens: one.output_tokens,
      })),
    ),
  }
}

function seconds(day: string): string {
  return String(Date.parse(day) / 1_000)
}

function dayOf(start: number): string {
  return new Date(start * 1_000).toISOString().slice(0, 10)
}
