/** What LiteLLM's routes take and show of budgets, rates and models, whoever has them. */
import { z } from '@hono/zod-openapi'
import type { SpenderRow } from '../../billing/spenders/rows.ts'
import type { Settings, SettingsChange } from '../../billing/spenders/settings.ts'
import { TollgateError } from '../../http/errors.ts'
import { exactNumberOrNull, exactNumberSchema } from '../exact-number-schema.ts'
import { creditsAsDollars, dollars, dollarsIn, durationIn, mainOf } from './amounts.ts'

/** A name that a limit's row can hold. */
const MODEL_MAX = 200
const count = z.int().min(0).max(2_147_483_647)
const modelName = z.string().min(1).max(MODEL_MAX)

const modelBudget = z.union([
  dollarsIn('model_max_budget').transform((budget_limit) => ({ budget_limit, time_period: null })),
  z
    .object({
      budget_limit: dollarsIn('budget_limit').nullish(),
      max_budget: dollarsIn('max_budget').nullish(),
      time_period: durationIn('time_period').nullish(),
      budget_duration: durationIn('budget_duration').nullish(),
    })
    .refine(
      (one) => one.budget_limit != null || one.max_budget != null,
      '"model_max_budget" must state a budget_limit for each model.',
    )
    .transform((one) => ({
      budget_limit: one.budget_limit ?? one.max_budget ?? '0',
      time_period: one.time_period ?? one.budget_duration ?? null,
    })),
])

/** Members of a request; each may be null. */
export const TERMS = {
  max_budget: dollarsIn('max_budget').nullish(),
  budget_duration: durationIn('budget_duration').nullish(),
  budget_limits: z
    .array(z.object({ max_budget: dollarsIn('max_budget'), budget_duration: durationIn('budget_duration') }))
    .max(10)
    .nullish(),
  model_max_budget: z.record(modelName, modelBudget).nullish(),
  soft_budget: dollarsIn('soft_budget').nullish(),
  rpm_limit: count.nullish(),
  tpm_limit: z.int().min(0).max(Number.MAX_SAFE_INTEGER).nullish(),
  max_parallel_requests: count.nullish(),
  model_rpm_limit: z.record(modelName, count).nullish(),
  model_tpm_limit: z.record(modelName, z.int().min(0).max(Number.MAX_SAFE_INTEGER)).nullish(),
}

export const LISTS = {
  models: z.array(modelName).max(1_000).nullish(),
  aliases: z.record(modelName, modelName).nullish(),
  tags: z.array(z.string().min(1).max(255)).max(100).nullish(),
  metadata: z.record(z.string(), z.unknown()).nullish(),
}

/** Protections that are not enforced here: whoever asks for one is told, and not left to believe in it. */
const UNENFORCED = [
  ...['guardrails', 'permissions', 'enforced_params', 'allowed_cache_controls', 'policies'],
  ...[
    'allowed_vector_store_indexes',
    'object_permission',
    'auto_rotate',
    'temp_budget_increase',
    'allowed_model_region',
    'project_id',
  ],
  ...[
    'agent_id',
    'spend',
    'disabled_callbacks',
    'tpm_limit_type',
    'rpm_limit_type',
    'grace_period',
    'rotation_interval',
  ],
] as const

export const REFUSED = Object.fromEntries(
  UNENFORCED.map((name) => [
    name,
    z.unknown().optional().openapi({ description: 'Not enforced here: refused unless it is empty.' }),
  ]),
) as Record<(typeof UNENFORCED)[number], z.ZodOptional<z.ZodUnknown>>

/** @throws {TollgateError} 400. */
export function refuseUnenforced(body: Readonly<Record<string, unknown>>): void {
  const found = UNENFORCED.find((name) => !isNothing(body[name]))
  if (found === undefined) return
  throw new TollgateError(
    400,
    'not_enforced',
    `"${found}" is not enforced here, so it is not accepted. Leave it out.`,
    {
      param: found,
    },
  )
}

function isNothing(value: unknown): boolean {
  if (value == null || value === false || value === 0 || value === '' || value === '0s') return true
  return typeof value === 'object' && Object.keys(value).length === 0
}

type Asked = { [Name in keyof SettingsChange]?: SettingsChange[Name] }

/** Of a body, what is kept. What it does not name is undefined. */
export function settingsIn(body: Asked): SettingsChange {
  const { max_budget, budget_duration, budget_limits, model_max_budget, soft_budget, rpm_limit, tpm_limit } = body
  const { max_parallel_requests, model_rpm_limit, model_tpm_limit, models, aliases, metadata, more } = body
  const inMetadata = metadata?.tags
  const tags =
    body.tags === undefined &&
    Array.isArray(inMetadata) &&
    inMetadata.every((tag) => typeof tag === 'string' && tag !== '')
      ? inMetadata
      : body.tags
  return {
    ...{ max_budget, budget_duration, budget_limits, model_max_budget, soft_budget, rpm_limit, tpm_limit },
    ...{ max_parallel_requests, model_rpm_limit, model_tpm_limit, models, aliases, metadata, tags, more },
  }
}

/** The same of something new: null is nothing. */
export function newSettings(body: Asked): Settings {
  const named = Object.entries(settingsIn(body)).filter(([, value]) => value != null)
  return Object.fromEntries(named) as Settings
}

export const shownTerms = z.object({
  spend: exactNumberSchema,
  max_budget: exactNumberOrNull,
  soft_budget: exactNumberOrNull,
  budget_duration: z.string().nullable(),
  budget_reset_at: z.iso.datetime().nullable(),
  budget_limits: z.array(z.unknown()),
  budget_id: z.string().nullable(),
  model_max_budget: z.record(z.string(), z.unknown()),
  model_spend: z.record(z.string(), exactNumberSchema),
  rpm_limit: z.int().nullable(),
  tpm_limit: z.int().nullable(),
  max_parallel_requests: z.int().nullable(),
  model_rpm_limit: z.record(z.string(), z.int()),
  model_tpm_limit: z.record(z.string(), z.int()),
  models: z.array(z.string()),
  tags: z.array(z.string()),
  metadata: z.record(z.string(), z.unknown()),
  blocked: z.boolean(),
  created_at: z.iso.datetime(),
  created_by: z.string().nullable(),
  updated_at: z.iso.datetime(),
})

export function termsView({
  settings,
  used,
  budget,
  is_blocked,
  created_at,
  created_by,
  updated_at,
}: SpenderRow): z.output<typeof shownTerms> {
  const main = mainOf(used)
  const most = settings.max_budget
  return {
    spend: creditsAsDollars(main.used),
    max_budget: most === undefined ? null : dollars(most),
    soft_budget: settings.soft_budget === undefined ? null : dollars(settings.soft_budget),
    budget_duration: settings.budget_duration ?? null,
    budget_reset_at: main.window_end === null ? null : new Date(main.window_end).toISOString(),
    budget_limits: (settings.budget_limits ?? []).map((one) => ({ ...one, max_budget: dollars(one.max_budget) })),
    budget_id: budget,
    model_max_budget: Object.fromEntries(
      Object.entries(settings.model_max_budget ?? {}).map(([model, one]) => [
        model,
        { ...one, budget_limit: dollars(one.budget_limit) },
      ]),
    ),
    model_spend: Object.fromEntries(
      used.flatMap((one) => (one.model === null ? [] : [[one.model, creditsAsDollars(one.used)] as const])),
    ),
    rpm_limit: settings.rpm_limit ?? null,
    tpm_limit: settings.tpm_limit ?? null,
    max_parallel_requests: settings.max_parallel_requests ?? null,
    model_rpm_limit: settings.model_rpm_limit ?? {},
    model_tpm_limit: settings.model_tpm_limit ?? {},
    models: settings.models ?? [],
    tags: settings.tags ?? [],
    metadata: settings.metadata ?? {},
    blocked: is_blocked,
    created_at: created_at.toISOString(),
    created_by,
    updated_at: updated_at.toISOString(),
  }
}
