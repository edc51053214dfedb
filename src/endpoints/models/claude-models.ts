/** The list of models in Anthropic's form, all of them on one page. */
import { z } from '@hono/zod-openapi'

const model = z
  .object({ type: z.literal('model'), id: z.string(), display_name: z.string(), created_at: z.iso.datetime() })
  .openapi('ClaudeModel')

export const claudeModels = z.object({
  data: z.array(model),
  has_more: z.literal(false),
  first_id: z.string().nullable(),
  last_id: z.string().nullable(),
})

/** The release date of a model that an operator named is unknown. */
const UNKNOWN = '1970-01-01T00:00:00Z'

export function claudeModelsOf(names: readonly string[]): z.output<typeof claudeModels> {
  return {
    data: names.map((id) => ({ type: 'model' as const, id, display_name: id, created_at: UNKNOWN })),
    has_more: false,
    first_id: names[0] ?? null,
    last_id: names.at(-1) ?? null,
  }
}
