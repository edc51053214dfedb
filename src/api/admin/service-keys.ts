/** Keys of services over HTTP. Only the response that makes a key shows it. */
import { z } from '@hono/zod-openapi'
import {
  createServiceKey,
  listServiceKeys,
  revokeServiceKey,
  rotateServiceKey,
  type ServiceKeyView,
} from '../../billing/service-keys.ts'
import type { Database } from '../../db/connect.ts'
import { isRouteRule, ROUTE_GROUPS } from '../../http/route-group.ts'
import { type Route, route } from '../route.ts'

const PATH = '/api/v1/admin/service-keys'
const DAY_SECONDS = 86_400
const INTEGER_MAX = 2_147_483_647

const view = z
  .object({
    id: z.uuid(),
    name: z.string(),
    key_preview: z.string().openapi({ example: 'sk-svc-12ab...89ef' }),
    state: z
      .enum(['active', 'replaced', 'expired', 'revoked'])
      .openapi({ description: '`replaced`: rotated, and valid until `expires_at`.' }),
    organization: z.string(),
    organization_id: z.uuid(),
    user: z.string(),
    act_as: z.enum(['none', 'members']),
    models: z.array(z.string()).nullable(),
    routes: z.array(z.string()).nullable(),
    requests_per_minute: z.int().nullable().openapi({ description: 'Calls of models; null for no limit of its own.' }),
    tokens_per_minute: z.int().nullable(),
    calls_at_once: z.int().nullable(),
    created_at: z.iso.datetime(),
    expires_at: z.iso.datetime().nullable(),
  })
  .openapi('ServiceKey')

const made = view.extend({ key: z.string().openapi({ description: 'Shown only once.' }) }).openapi('NewServiceKey')

const name = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/i, '"name" must be at most 64 letters, digits, dots, dashes or underscores.')
const routeRule = z
  .string()
  .max(200)
  .refine(isRouteRule, `"routes" must hold groups (${ROUTE_GROUPS.join(', ')}) or paths, which may end in "*".`)

/** The largest numbers that the columns hold. */
const atMost = (most: number) => z.int().min(1).max(most).nullable().default(null)

const body = z.object({
  name,
  organization: z
    .string()
    .min(1)
    .max(200)
    .openapi({ description: 'Name or id. A named organization that does not exist is made.' }),
  user: z.string().min(1).max(255).optional().openapi({ description: 'Who pays; `<name>-service` unless stated.' }),
  act_as: z.enum(['none', 'members']).default('none').openapi({ description: '`members`: X-User-ID names who pays.' }),
  models: z.array(z.string().min(1).max(200)).min(1).max(1_000).nullable().default(null),
  routes: z.array(routeRule).min(1).max(100).default(['llm']),
  requests_per_minute: atMost(INTEGER_MAX).openapi({ description: 'Calls of models; null for no limit of its own.' }),
  tokens_per_minute: atMost(1e12),
  calls_at_once: atMost(INTEGER_MAX).openapi({ description: 'In each process.' }),
  expires_at: z.iso.datetime({ offset: true }).nullable().default(null),
})

export function serviceKeyRoutes(database: Database): Route[] {
  const may = 'service_keys:manage'
  const params = z.object({ name })
  const unknown = { 404: 'There is no service of that name with a key.' }
  return [
    route({
      method: 'get',
      path: PATH,
      may,
      summary: 'List the keys of services',
      returns: z.object({ service_keys: z.array(view) }),
      handle: async () => ({ service_keys: (await listServiceKeys(database)).map(shown) }),
    }),
    route({
      method: 'post',
      path: PATH,
      may,
      summary: 'Make the key of a service',
      body,
      returns: made,
      status: 201,
      errors: { 404: 'There is no organization of that id.', 409: 'The service already has a key.' },
      async handle({ body: asked, change }) {
        const { name: service, organization, models, routes, expires_at: expires } = asked
        const key = {
          name: service,
          organization,
          user: asked.user ?? `${service}-service`,
          actAs: asked.act_as,
          models,
          routes,
          limits: {
            requestsPerMinute: asked.requests_per_minute,
            tokensPerMinute: asked.tokens_per_minute,
            callsAtOnce: asked.calls_at_once,
          },
          expiresAt: expires === null ? null : new Date(expires),
        }
        const { key: secret, ...row } = await createServiceKey(database, key, change)
        return { ...shown(row), key: secret }
      },
    }),
    route({
      method: 'post',
      path: `${PATH}/{name}/rotate`,
      may,
      summary: 'Make the next key of a service; the old one stays valid for a while',
      params,
      body: z.object({
        overlap_seconds: z
          .int()
          .min(0)
          .max(365 * DAY_SECONDS)
          .default(DAY_SECONDS),
      }),
      returns: made,
      errors: unknown,
      async handle({ params: { name: service }, body: { overlap_seconds: overlap }, change }) {
        const { key, ...row } = await rotateServiceKey(database, service, overlap, change)
        return { ...shown(row), key }
      },
    }),
    route({
      method: 'delete',
      path: `${PATH}/{name}`,
      may,
      summary: 'Revoke every key of a service; it is refused everywhere within a second',
      params,
      returns: z.object({ name: z.string(), revoked: z.int() }),
      errors: unknown,
      handle: ({ params: { name: service }, change }) => revokeServiceKey(database, service, change),
    }),
  ]
}

function shown({ created_at, expires_at, ...rest }: ServiceKeyView): z.output<typeof view> {
  return { ...rest, created_at: created_at.toISOString(), expires_at: expires_at?.toISOString() ?? null }
}
