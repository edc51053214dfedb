/** Requests to the management routes, each route that the app has: ids, queries and bodies that are mostly near the truth. */
import fc from 'fast-check'
import { appRoutes } from '../support/app-routes.ts'

export interface ManagementRequest {
  method: string
  path: string
  body: Buffer | null
  /** Whose credential goes along. */
  as: 'owner' | 'operator' | 'nobody'
}

/** Served elsewhere in this fuzzer, or no surface of ours. */
const OTHERS = /completions$|^\/docs\/|^\/metrics$/

const NAMES = [
  ...['org_id', 'user_id', 'id', 'name', 'org_name', 'display_name', 'email', 'role', 'plan', 'subscription_plan'],
  ...['amount', 'credits', 'allocated_credits', 'reset_period', 'expires_at', 'expires_in_days', 'key_name', 'reason'],
  ...['provider', 'key', 'api_key', 'enabled', 'models', 'routes', 'metadata', 'request_metadata', 'note', 'source'],
  ...[
    'service_type',
    'service_name',
    'transaction_type',
    'period_days',
    'max_seats',
    'token',
    'model',
    'tier',
    'quote',
  ],
]
const id = (organization: string) =>
  fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(organization, 'bob', 'openai', 'anthropic', 'fuzzed') },
    fc.uuid(),
    fc.string({ unit: 'binary', maxLength: 12 }).map((text) => text.toWellFormed()),
    fc.constantFrom('0', '-1', '%00', '..', "'", 'null', '00000000-0000-0000-0000-000000000000'),
  )
const scalar = (organization: string) =>
  fc.oneof(
    id(organization),
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.constantFrom<unknown>(true, false, null, '10', '1e400', 0.000_000_1, 1e21, '2026-01-01T00:00:00Z', 'monthly'),
    fc.constantFrom('platform', 'byok', 'hybrid', 'owner', 'admin', 'member', 'sk-0123456789abcdef0123456789abcdef'),
  )

export function managementRequest(organization: string): fc.Arbitrary<ManagementRequest> {
  const routes = appRoutes().filter(({ path }) => !OTHERS.test(path))
  const value = fc.oneof(
    { weight: 6, arbitrary: scalar(organization) },
    fc.array(scalar(organization), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...NAMES), scalar(organization), { maxKeys: 3 }),
  )
  const named = fc.dictionary(fc.constantFrom(...NAMES), value, { maxKeys: 5 })
  const body = fc.oneof(
    { weight: 12, arbitrary: named.map((members) => Buffer.from(JSON.stringify(members))) },
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    fc.constant(null),
  )
  const query = fc.dictionary(
    fc.constantFrom('limit', 'offset', 'days', 'start_date', 'end_date', 'period', 'subject', 'provider', 'cursor'),
    scalar(organization).map(String),
    { maxKeys: 2 },
  )
  return fc
    .record({
      route: fc.constantFrom(...routes),
      ids: fc.array(id(organization), { minLength: 4, maxLength: 4 }),
      query,
      body,
      as: fc.constantFrom<ManagementRequest['as']>('owner', 'owner', 'operator', 'operator', 'nobody'),
    })
    .map(({ route: { method, path }, ids, query: asked, body: sent, as }) => {
      let next = 0
      const filled = path.replaceAll(/\{\w+\}/g, () => encodeURIComponent(ids[next++ % ids.length]!))
      const search = new URLSearchParams(asked).toString()
      return {
        method,
        path: search === '' ? filled : `${filled}?${search}`,
        body: method === 'GET' ? null : sent,
        as,
      }
    })
}
