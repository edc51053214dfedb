/** A key as its owner sees it. */
import { z } from '@hono/zod-openapi'
import type { OwnKey } from '../../billing/own-keys.ts'
import { mainOf } from '../litellm/amounts.ts'

export const ownKeyView = z
  .object({
    id: z.uuid(),
    name: z.string(),
    preview: z.string(),
    state: z.enum(['active', 'expired', 'revoked']),
    created_at: z.iso.datetime(),
    last_used_on: z.iso.date().nullable().openapi({ description: 'The newest day, in UTC, with a call of this key.' }),
    expires_at: z.iso.datetime().nullable(),
    models: z.array(z.string()).nullable().openapi({ description: 'Null: all that its user may call.' }),
    budget: z
      .object({
        limit: z.string(),
        used: z.string(),
        period: z.string().nullable(),
        resets_at: z.iso.datetime().nullable(),
      })
      .nullable()
      .openapi({ description: 'In credits. Null where only the credits of its user bound it.' }),
    requests_per_minute: z.number().nullable(),
    tokens_per_minute: z.number().nullable(),
    spent: z.string().openapi({ description: 'In credits, ever.' }),
  })
  .openapi('ApiKey')

export const madeOwnKeyView = ownKeyView
  .extend({ key: z.string().openapi({ description: 'Shown only once.' }) })
  .openapi('MadeApiKey')

export function viewOfOwnKey({ bounds, ...key }: OwnKey): z.output<typeof ownKeyView> {
  const settings = bounds?.settings ?? {}
  const models = settings.models ?? []
  return {
    ...key,
    models: models.length === 0 ? null : models,
    budget: budgetOf(bounds),
    requests_per_minute: settings.rpm_limit ?? null,
    tokens_per_minute: settings.tpm_limit ?? null,
  }
}

function budgetOf(bounds: OwnKey['bounds']): z.output<typeof ownKeyView>['budget'] {
  if (bounds === null || bounds.settings.max_budget === undefined) return null
  const { amount, used, window_end: end } = mainOf(bounds.used)
  if (amount === null) return null
  const period = bounds.settings.budget_duration ?? null
  return { limit: amount, used, period, resets_at: end === null ? null : new Date(end).toISOString() }
}
