/** What bounds a caller: credits, calls of a day and a month, the budget of the key, and what the plan allows. */
import { z } from '@hono/zod-openapi'
import { exactNumber } from '../../http/exact-number.ts'
import type { Caller } from '../../identity/caller.ts'
import { keyLimit } from '../../ledger/key-limit.ts'
import { quotaLimits } from '../../ledger/quota-limits.ts'
import { formatDecimal, trimDecimal } from '../../metering/money.ts'
import { findBalance } from '../../reports/caller-credits.ts'
import { type LimitState, limitsOf } from '../../reports/limits-of.ts'
import { exactNumberOrNull, exactNumberSchema } from '../exact-number-schema.ts'
import { creditNumber } from '../org-billing/amounts.ts'
import { type Route, route } from '../route.ts'
import type { UsageDependencies } from './dependencies.ts'

const quota = z.object({
  window: z.enum(['day', 'month']),
  limit: exactNumberSchema,
  used: exactNumberSchema.openapi({ description: 'Running calls included.' }),
  resets_at: z.iso.datetime().nullable().openapi({ description: 'Null where no call was made in the window.' }),
})

const limits = z
  .object({
    org_id: z.uuid(),
    user_id: z.string(),
    tier: z.string(),
    credits: z
      .object({ allocated: exactNumberSchema, remaining: exactNumberSchema })
      .nullable()
      .openapi({ description: 'Null without an allocation.' }),
    calls: z.array(quota).openapi({ description: 'Empty for a tier without a quota.' }),
    key: z
      .object({
        limit: exactNumberOrNull.openapi({ description: 'Credits; null where the key has no budget.' }),
        used: exactNumberSchema,
      })
      .nullable()
      .openapi({ description: 'Null for a caller without a stored key.' }),
    requests_per_minute: z.int().nullable(),
    tokens_per_minute: z.int().nullable(),
    calls_at_once: z.int().nullable(),
  })
  .openapi('Limits')

export function limitsRoute({ reports, config }: UsageDependencies): Route {
  return route({
    method: 'get',
    path: '/api/v1/usage/limits',
    may: 'credits:read_own',
    summary: 'What bounds your calls, and how much of it is used',
    returns: limits,
    async handle({ caller }) {
      const { organizationId, userId, tier, keyId } = caller
      const quotas = quotaLimits(Object.hasOwn(config.tiers, tier) ? config.tiers[tier] : undefined, caller)
      const [balance, states] = await Promise.all([
        findBalance(reports, { organizationId, userId }),
        limitsOf(reports, [...quotas, ...keyLimit(keyId)]),
      ])
      const stateOf = (kind: string, id: string) => states.find((one) => one.kind === kind && one.id === id)
      return {
        org_id: organizationId,
        user_id: userId,
        tier,
        credits:
          balance === null
            ? null
            : { allocated: creditNumber(balance.allocated), remaining: creditNumber(balance.remaining) },
        calls: quotas.map(({ kind, id, window, amount }) => ({
          window: window === 'day' ? ('day' as const) : ('month' as const),
          limit: exactNumber(trimDecimal(amount ?? 0n, 6)),
          ...usedOf(stateOf(kind, id)),
        })),
        key: keyId === null ? null : keyState(stateOf('key', keyId)),
        ...minuteLimits(caller),
      }
    },
  })
}

function usedOf(state: LimitState | undefined) {
  if (state === undefined) return { used: exactNumber('0'), resets_at: null }
  return { used: exactNumber(String(Number(state.used) + Number(state.held))), resets_at: state.window_end }
}

function keyState(state: LimitState | undefined) {
  const limit = state?.limit_amount ?? null
  return { limit: limit === null ? null : creditNumber(limit), used: creditNumber(state?.used ?? '0') }
}

function minuteLimits({ limits: { requestsPerMinute, tokensPerMinute, callsAtOnce } }: Caller) {
  return { requests_per_minute: requestsPerMinute, tokens_per_minute: tokensPerMinute, calls_at_once: callsAtOnce }
}

const features = z
  .object({
    org_id: z.uuid(),
    tier: z.string(),
    plan: z.enum(['platform', 'byok', 'hybrid']).nullable(),
    features: z.object({
      platform_keys: z.boolean().openapi({ description: "Calls may use the operator's provider keys." }),
      own_keys: z.boolean().openapi({ description: 'Calls may use provider keys of your own.' }),
    }),
    markup_percent: exactNumberSchema.openapi({ description: "Added to the provider's price." }),
    power_levels: z
      .record(z.string(), exactNumberSchema)
      .openapi({ description: 'What each level multiplies the price by.' }),
  })
  .openapi('Features')

export function featuresRoute({ config }: UsageDependencies): Route {
  return route({
    method: 'get',
    path: '/api/v1/usage/features',
    may: 'credits:read_own',
    summary: 'What your plan allows, and what it adds to the price',
    returns: features,
    handle({ caller: { organizationId, tier, plan, isDefaultOrganization } }) {
      const inForce = isDefaultOrganization ? 'platform' : (plan ?? 'platform')
      const markup = isDefaultOrganization ? 0n : config.plans[inForce].markup
      return {
        org_id: organizationId,
        tier,
        plan,
        features: { platform_keys: inForce !== 'byok', own_keys: inForce !== 'platform' },
        markup_percent: exactNumber(trimDecimal(markup, 4)),
        power_levels: Object.fromEntries(
          Object.entries(config.powerLevels).map(([level, factor]) => [level, exactNumber(formatDecimal(factor, 6))]),
        ),
      }
    },
  })
}
