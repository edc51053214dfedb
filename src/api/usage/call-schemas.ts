/** A call as lists and its own page show it. */
import { z } from '@hono/zod-openapi'

const name = z.object({ id: z.string(), name: z.string().nullable() })
const text = z.string().nullable()

const rowFields = {
  call_id: z.string().openapi({ format: 'uuid' }),
  request_id: text.openapi({ description: 'The X-Request-ID of the request.' }),
  status: z
    .string()
    .openapi({ description: '`running`, `settled`, or `released` where it left nothing but its hold.' }),
  outcome: text.openapi({
    description: '`answered`, `stopped`, `failed`, `client_disconnected` or `cut_off`; null while it runs.',
  }),
  model: text,
  provider: text,
  endpoint: z.string().openapi({ description: 'The type of service, such as `llm_inference`.' }),
  user: name,
  key: name.nullable(),
  organization: name,
  started_at: z.string().openapi({ format: 'date-time' }),
  settled_at: text.openapi({ format: 'date-time' }),
  credits: text.openapi({ description: 'What it cost, corrections included; null while it runs.' }),
  held_credits: z.string(),
  provenance: text,
  input_tokens: z.number().int().nullable(),
  output_tokens: z.number().int().nullable(),
}

export const callRow = z.object(rowFields).openapi('CallRow')

export const callInFull = z
  .object({
    ...rowFields,
    session_id: text,
    run: name.nullable(),
    cost: text.openapi({ description: 'What was charged, in dollars.' }),
    api_cost: text.openapi({ description: 'What the provider charges, in dollars.' }),
    markup: text,
    markup_percent: z.number().nullable(),
    power_level: text,
    refunded_credits: text,
    price_source: text.openapi({ description: 'Where the price is from: the data set by its version, config.yaml.' }),
    stream: z.boolean().nullable(),
    lines: z
      .array(
        z.object({
          what: z.string(),
          quantity: z.number().int().nullable(),
          rate: text.openapi({ description: 'Dollars for a million; null where none is known any more.' }),
          cost: z.string().openapi({ description: 'Dollars.' }),
        }),
      )
      .openapi({ description: 'They add up to the charge, to the last digit.' }),
    timeline: z.array(z.object({ at: z.string().openapi({ format: 'date-time' }), what: z.string(), detail: text })),
    attempts: z
      .array(
        z.object({
          provider: z.string(),
          deployment: z.string(),
          status: z.string(),
          error: text,
          ms: z.number().nullable(),
        }),
      )
      .openapi({ description: 'The last attempt, which is billed; the timeline says how many there were before.' }),
  })
  .openapi('CallInFull')
