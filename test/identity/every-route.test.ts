/**
 * Every route with every kind of credential. The routes are those of the app: one without a line in the table fails. What is open is
 * open to everybody; of the rest a stranger learns nothing but 401, whatever is sent, and each role does what identity/ says it may.
 */
import { randomBytes } from 'node:crypto'
import { beforeAll, expect, test } from 'vitest'
import { newApiKey } from '../../src/identity/api-key.ts'
import { can, type Permission } from '../../src/identity/permissions.ts'
import type { Role } from '../../src/identity/role.ts'
import { storedSessions } from '../../src/identity/session/session-store.ts'
import { appRoutes } from '../support/app-routes.ts'
import { callerFor } from '../support/caller.ts'
import { useProduct } from '../support/product.ts'
import { MASTER_KEY } from '../support/tollgate.ts'

/**
 * By the permission that is asked for before the request is read. Where the organization is named in the body, or a user is meant who may
 * be the caller, that is `organizations:read_own`, and the handler asks for more: tests of those routes say what.
 */
const TABLE = {
  'llm:models': [
    'GET /model/info',
    'GET /v1/model/info',
    'GET /model_group/info',
    'POST /cost/estimate',
    'POST /spend/calculate',
    'GET /routes',
    'GET /v1/models',
    'GET /models',
    'GET /v1/models/{model}',
    'GET /v1beta/models',
    'GET /v1beta/models/{model}',
    'GET /api/v1/llm/models',
    'GET /api/v1/llm/models/categorized',
  ],
  'calls:read_own': ['GET /v1/calls/{call_id}', 'GET /api/v1/calls', 'GET /api/v1/calls/{call_id}'],
  'organizations:read_own': [
    'POST /api/v1/org-billing/subscriptions',
    'GET /api/v1/org-billing/subscriptions/org/{org_id}',
    'GET /api/v1/org-billing/subscriptions/{org_id}',
    'PUT /api/v1/org-billing/subscriptions/{org_id}/upgrade',
    'PUT /api/v1/org-billing/subscriptions/{org_id}',
    'DELETE /api/v1/org-billing/subscriptions/{org_id}',
    'GET /api/v1/org-billing/credits/user/{user_id}',
    'POST /api/v1/org-billing/credits/deduct',
    'POST /api/v1/org-billing/credits/add',
    'POST /api/v1/org-billing/credits/{org_id}/add',
    'GET /api/v1/org-billing/billing/user',
    'GET /api/v1/org-billing/organizations',
    'POST /api/v1/org-billing/invitations/accept',
    'POST /api/v1/org-billing/organizations/own',
    'POST /api/v1/credits/allocate',
    'POST /api/v1/credits/deduct',
    'PUT /api/v1/account/default-organization',
    'GET /auth/session',
    'GET /api/v1/me',
    'GET /api/v1/events',
    'POST /auth/logout',
  ],
  'allocations:change': [
    'POST /api/v1/org-billing/credits/{org_id}/allocate',
    'POST /api/v1/org-billing/allocations/{org_id}',
  ],
  'allocations:read': [
    'GET /api/v1/org-billing/credits/{org_id}/allocations',
    'GET /api/v1/org-billing/allocations/{org_id}',
  ],
  'pool:read': [
    'GET /api/v1/org-billing/allocations/{org_id}/{user_id}',
    'GET /api/v1/org-billing/usage/{org_id}/{user_id}',
    'GET /api/v1/org-billing/credits/{org_id}',
  ],
  'usage:read': ['GET /api/v1/org-billing/credits/{org_id}/usage'],
  'credits:deduct': ['POST /api/v1/org-billing/usage/{org_id}/{user_id}'],
  'pool:add_credits': ['POST /api/v1/org-billing/credits/{org_id}/transaction'],
  'billing:system': ['GET /api/v1/org-billing/billing/system', 'GET /api/v1/admin/money-at-risk'],
  'billing:read': [
    'GET /api/v1/org-billing/billing/org/{org_id}',
    'GET /api/v1/usage/statements/{org_id}/{month}',
    'GET /api/v1/usage/statements/{org_id}/{month}/csv',
    'GET /api/v1/usage/statements/{org_id}/{month}/page',
  ],
  'billing:history': ['GET /api/v1/org-billing/billing/{org_id}/history', 'GET /api/v1/org-billing/{org_id}/history'],
  'organizations:manage': [
    'POST /organization/new',
    'PATCH /organization/update',
    'DELETE /organization/delete',
    'POST /api/v1/org-billing/organizations',
    'POST /api/v1/org-billing/organizations/{org_id}/suspend',
    'POST /api/v1/org-billing/organizations/{org_id}/resume',
    'PUT /api/v1/org-billing/organizations/{org_id}/tier',
  ],
  'organization:change': ['PATCH /api/v1/org-billing/organizations/{org_id}'],
  'organization:transfer': ['POST /api/v1/org-billing/organizations/{org_id}/transfer'],
  'members:read': [
    'GET /api/v1/org-billing/organizations/{org_id}/members',
    'DELETE /api/v1/org-billing/organizations/{org_id}/members/{user_id}',
  ],
  'members:manage': [
    'POST /api/v1/org-billing/organizations/{org_id}/members',
    'PATCH /api/v1/org-billing/organizations/{org_id}/members/{user_id}',
    'POST /api/v1/org-billing/organizations/{org_id}/invitations',
    'GET /api/v1/org-billing/organizations/{org_id}/invitations',
    'DELETE /api/v1/org-billing/organizations/{org_id}/invitations/{invitation_id}',
  ],
  'calls:refund': ['POST /api/v1/admin/calls/{call_id}/refunds'],
  'credits:read_own': [
    'GET /api/v1/llm/credits',
    'GET /api/v1/llm/credits/history',
    'GET /api/v1/llm/usage',
    'GET /api/v1/credits',
    'GET /api/v1/credits/history',
    'GET /api/v1/credits/balance',
    'GET /api/v1/home',
    'GET /api/v1/usage/current',
    'GET /api/v1/usage/history',
    'GET /api/v1/usage/limits',
    'GET /api/v1/usage/features',
    'GET /api/v1/usage/export',
  ],
  'credits:purchase': ['POST /api/v1/llm/credits/purchase'],
  'usage:read_members': [
    'GET /spend/logs',
    'GET /spend/logs/v2',
    'GET /spend/keys',
    'GET /spend/users',
    'GET /spend/tags',
    'GET /global/spend',
    'GET /global/spend/tags',
    'GET /global/spend/logs',
    'GET /global/spend/keys',
    'GET /global/spend/teams',
    'GET /global/spend/models',
    'GET /global/spend/provider',
    'GET /global/spend/end_users',
    'GET /user/daily/activity',
  ],
  'system:read': ['GET /health', 'POST /auth/master-key'],
  'virtual_keys:read_own': ['GET /key/info', 'GET /team/info', 'GET /user/info'],
  'budgets:manage': [
    'POST /key/generate',
    'POST /key/update',
    'POST /key/delete',
    'POST /key/block',
    'POST /key/unblock',
    'POST /key/regenerate',
    'POST /key/{key}/regenerate',
    'GET /key/list',
    'POST /team/new',
    'POST /team/update',
    'POST /team/delete',
    'GET /team/list',
    'POST /team/block',
    'POST /team/unblock',
    'POST /team/member_add',
    'POST /team/member_delete',
    'POST /user/new',
    'POST /user/update',
    'POST /user/delete',
    'GET /user/list',
    'GET /organization/info',
    'GET /organization/list',
    'POST /budget/new',
    'POST /budget/update',
    'POST /budget/info',
    'GET /budget/list',
    'POST /budget/delete',
    'POST /customer/new',
    'POST /customer/update',
    'POST /customer/delete',
    'GET /customer/info',
    'GET /customer/list',
    'POST /customer/block',
    'POST /customer/unblock',
    'POST /end_user/new',
    'POST /end_user/update',
    'POST /end_user/delete',
    'GET /end_user/info',
    'GET /end_user/list',
    'POST /end_user/block',
    'POST /end_user/unblock',
  ],
  open: [
    'GET /api/v1/llm/models/curated',
    'GET /api/v1/llm/health',
    'GET /api/v1/health',
    'GET /api/v1/system/status',
    'POST /api/v1/webhooks/stripe',
    'POST /api/v1/webhooks/lago',
    'GET /api/v1/llm/byok/providers',
    'GET /health/liveliness',
    'GET /health/liveness',
    'GET /health/readiness',
    'GET /metrics',
    'GET /',
    'GET /app',
    'GET /app/{screen}',
    'GET /assets/{file}',
    'GET /auth/options',
    'GET /auth/link',
    'GET /favicon.ico',
    'GET /openapi.json',
    'GET /docs',
    'GET /docs/{build}/{file}',
  ],
  'byok:own': [
    'GET /api/v1/llm/byok/keys',
    'POST /api/v1/llm/byok/keys',
    'DELETE /api/v1/llm/byok/keys/{provider}',
    'POST /api/v1/llm/byok/keys/{provider}/toggle',
    'POST /api/v1/llm/byok/keys/{provider}/test',
    'GET /api/v1/llm/byok/keys/{provider}/usage',
    'GET /api/v1/byok/providers',
    'GET /api/v1/byok/keys',
    'POST /api/v1/byok/keys/add',
    'DELETE /api/v1/byok/keys/{provider}',
    'POST /api/v1/byok/keys/test/{provider}',
    'GET /api/v1/byok/stats',
  ],
  'platform_keys:manage': [
    'GET /api/v1/admin/platform-keys',
    'PUT /api/v1/admin/platform-keys/{key}',
    'DELETE /api/v1/admin/platform-keys/{key}',
    'POST /api/v1/admin/platform-keys/{key}/test',
    'GET /api/v1/admin/platform-keys/{key}/decrypted',
    'GET /api/v1/llm/providers/keys',
    'POST /api/v1/llm/providers/keys',
    'POST /api/v1/llm/providers/keys/test',
    'DELETE /api/v1/llm/providers/keys/{provider_id}',
    'GET /api/v1/llm/providers/info',
    'GET /api/v1/llm/admin/system-keys',
    'PUT /api/v1/llm/admin/system-keys/{provider_id}',
    'DELETE /api/v1/llm/admin/system-keys/{provider_id}',
    'POST /api/v1/llm/admin/system-keys/{provider_id}/test',
  ],
  'audit_log:read': ['GET /api/v1/admin/audit-log'],
  'service_keys:manage': [
    'GET /api/v1/admin/service-keys',
    'POST /api/v1/admin/service-keys',
    'POST /api/v1/admin/service-keys/{name}/rotate',
    'DELETE /api/v1/admin/service-keys/{name}',
  ],
  'keys:own': [
    'POST /api/v1/account/uc-api-keys',
    'GET /api/v1/account/uc-api-keys',
    'GET /api/v1/account/uc-api-keys/{key_id}',
    'DELETE /api/v1/account/uc-api-keys/{key_id}',
    'GET /api/v1/keys',
    'POST /api/v1/keys',
    'POST /api/v1/keys/{key_id}/rotate',
    'DELETE /api/v1/keys/{key_id}',
  ],
  'llm:inference': [
    'POST /v1/runs',
    'GET /v1/runs/{run_id}',
    'DELETE /v1/runs/{run_id}',
    'POST /v1/chat/completions',
    'POST /chat/completions',
    'POST /api/v1/llm/chat/completions',
    'POST /v1/quotes',
    'POST /api/v1/llm/quotes',
    'POST /v1/messages',
    'POST /v1/messages/count_tokens',
    'POST /v1beta/models/{model}',
    'POST /v1/models/{model}',
    'POST /v1/completions',
    'POST /completions',
    'POST /v1/responses',
    'POST /responses',
    'POST /v1/responses/input_tokens',
    'POST /responses/input_tokens',
    'POST /utils/token_counter',
    'GET /v1/responses/{response_id}',
    'DELETE /v1/responses/{response_id}',
    'POST /v1/responses/{response_id}/cancel',
    'GET /v1/responses/{response_id}/input_items',
    ...[
      ...['chat/completions', 'completions', 'embeddings', 'images/generations', 'images/edits'],
      ...['audio/speech', 'audio/transcriptions', 'audio/translations'],
    ].flatMap((path) => [`POST /openai/deployments/{model}/${path}`, `POST /engines/{model}/${path}`]),
    'POST /v1/embeddings',
    'POST /embeddings',
    'POST /api/v1/llm/completions',
    'POST /api/v1/llm/embeddings',
    'POST /v1/images/generations',
    'POST /images/generations',
    'POST /v1/images/edits',
    'POST /images/edits',
    'POST /api/v1/llm/image/generations',
    'POST /api/v1/llm/images/generations',
    'POST /v1/moderations',
    'POST /moderations',
    'POST /api/v1/llm/moderations',
    'POST /v1/audio/speech',
    'POST /audio/speech',
    'POST /api/v1/llm/audio/speech',
    'POST /v1/audio/transcriptions',
    'POST /audio/transcriptions',
    'POST /api/v1/llm/audio/transcriptions',
    'POST /v1/audio/translations',
    'POST /audio/translations',
    'POST /api/v1/llm/audio/translations',
  ],
} as const satisfies Partial<Record<Permission | 'open', readonly string[]>>

const routes = Object.entries(TABLE).flatMap(([permission, names]) =>
  names.map((name) => {
    const [method = '', path = ''] = name.split(' ')
    return { name, method, path, permission: permission as Permission | 'open' }
  }),
)
const closed = routes.flatMap(({ permission, ...route }) => (permission === 'open' ? [] : [{ ...route, permission }]))

/** Strangers are many here. */
const product = useProduct(() => ({ tollgate: { limits: { unknown_keys_per_minute: 1_000_000 } } }))

const USERS = { 'the-owner': 0, 'the-admin': 0, 'the-billing-admin': 0, 'the-member': 0 }
const REFUSALS = ['permission_denied', 'not_a_member', 'admin_required', 'no_organization']
let home: string
let other: string
/** A key of each role in `home`, not restricted to routes. */
const keys = new Map<Role, string>()

async function storeKey(user: string, more: Record<string, unknown> = {}): Promise<string> {
  const { key, hash, preview } = newApiKey(more.kind === 'service_key' ? 'sk-svc-' : 'uc_')
  const values = { key_hash: hash, preview, org_id: home, user_id: user, expires_at: null, name: null, ...more }
  await product.db.database.query
    .insertInto('tollgate.api_keys')
    .values({ ...values, created_by: null })
    .execute()
  return key
}

beforeAll(async () => {
  const seeded = await product.db.seedOrganization({ credits: 0, users: USERS })
  home = seeded.id
  other = (await product.db.seedOrganization({ credits: 0, users: { somebody: 0 } })).id
  for (const [role, user] of [
    ['owner', 'the-owner'],
    ['admin', 'the-admin'],
    ['billing_admin', 'the-billing-admin'],
    ['member', 'the-member'],
  ] as const) {
    await product.db.pool.query('update organization_members set role = $1 where org_id = $2 and user_id = $3', [
      role,
      home,
      user,
    ])
    keys.set(role, seeded.keys[user])
  }
  keys.set('service', await storeKey('the-service', { kind: 'service_key', name: 'service' }))
  keys.set('system_admin', MASTER_KEY)
})

interface Sent {
  status: number
  code: string | null
}

/** @param body sent with what has one. */
async function send(
  { method, path }: { method: string; path: string },
  headers: Record<string, string>,
  { organization = home, body = '{' }: { organization?: string; body?: string } = {},
): Promise<Sent> {
  const target = path.replace('{org_id}', organization).replaceAll(/\{\w+\}/g, 'example')
  const answer = await fetch(`${product.tollgate.url}${target}`, {
    method,
    redirect: 'manual',
    headers: { 'content-type': 'application/json', ...headers },
    ...(method === 'GET' || method === 'DELETE' ? {} : { body }),
  })
  // A stream of events has no end.
  const isEndless = answer.headers.get('content-type')?.startsWith('text/event-stream') ?? false
  const text = isEndless ? '' : await answer.text()
  if (isEndless) await answer.body?.cancel()
  const isError = answer.status >= 400 && text.startsWith('{')
  const { error } = (isError ? JSON.parse(text) : {}) as { error?: { code?: string; details?: { reason: string }[] } }
  // Google's envelope has a number there, and our code in its details.
  return { status: answer.status, code: error?.details?.[0]?.reason ?? error?.code ?? null }
}

const bearer = (key: string | undefined) => ({ authorization: `Bearer ${key}` })

/** Which of the routes did not return this, with what they did return. */
async function unlike(expected: Partial<Sent>, headers: Record<string, string>): Promise<string[]> {
  const found = await Promise.all(closed.map(async (route) => ({ route, ...(await send(route, headers)) })))
  return found
    .filter(({ status, code }) => status !== expected.status || (expected.code ?? code) !== code)
    .map(({ route, status, code }) => `${route.name}: ${status} ${code}`)
}

test('The table of rights has a line for every route of the app, and no other line.', () => {
  const names = appRoutes().map(({ method, path }) => `${method} ${path}`)
  expect(new Set(routes.map(({ name }) => name))).toEqual(new Set(names))
  expect(routes).toHaveLength(names.length)
})

test('An open route asks for no credential.', async () => {
  for (const route of routes.filter(({ permission }) => permission === 'open')) {
    // Metrics and webhooks are opened by a token and a signature of their own.
    if (/metrics|webhooks/.test(route.path)) continue
    expect([route.name, (await send(route, {})).status]).not.toEqual([route.name, 401])
  }
})

const unknown = randomBytes(32).toString('hex')
test.each([
  { what: 'no credential', headers: {}, code: 'missing_api_key' },
  { what: 'another scheme', headers: { authorization: 'Basic eDp5' }, code: 'invalid_authorization' },
  { what: 'an empty key', headers: { authorization: 'Bearer ' }, code: 'invalid_authorization' },
  { what: 'two keys', headers: { ...bearer(`uc_${unknown}`), 'x-api-key': 'another' }, code: 'ambiguous_api_key' },
  { what: 'an unknown API key', headers: bearer(`uc_${unknown}`), code: 'invalid_api_key' },
  { what: 'an unknown service key', headers: { 'x-service-key': `sk-svc-${unknown}` }, code: 'invalid_api_key' },
  { what: 'nearly the master key', headers: bearer(`${MASTER_KEY}0`), code: 'invalid_api_key' },
  { what: 'a key of no form', headers: bearer("' or 1=1 --".replaceAll(' ', '')), code: 'invalid_api_key' },
  { what: 'a token that nobody issued', headers: bearer('eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.x'), code: undefined },
  { what: 'an unknown session', headers: { cookie: `session_token=${unknown}` }, code: undefined },
])('$what is a 401 on every route, whatever else is wrong with the request.', async ({ headers, code }) => {
  expect(await unlike({ status: 401, ...(code === undefined ? {} : { code }) }, headers)).toEqual([])
})

test.each([
  { what: 'an expired API key', more: { expires_at: new Date(0) }, code: 'expired_api_key' },
  { what: 'a revoked API key', more: { is_active: false }, code: 'invalid_api_key' },
  {
    what: 'an expired service key',
    more: { kind: 'service_key', name: 'late', expires_at: new Date(0) },
    code: 'expired_api_key',
  },
  {
    what: 'a revoked service key',
    more: { kind: 'service_key', name: 'gone', is_active: false },
    code: 'invalid_api_key',
  },
])('$what is a 401 on every route.', async ({ more, code }) => {
  expect(await unlike({ status: 401, code }, bearer(await storeKey('the-owner', more)))).toEqual([])
})

test('An expired session is a 401 on every route.', async () => {
  await storedSessions(product.db.database).save('over', { user: { user_id: 'the-owner' } }, -1)
  expect(await unlike({ status: 401 }, { cookie: 'session_token=over' })).toEqual([])
})

test('Another organization in X-Org-ID is a 403, and one that does not exist a 404, on every route.', async () => {
  const owner = bearer(keys.get('owner'))
  expect(await unlike({ status: 403, code: 'not_a_member' }, { ...owner, 'x-org-id': other })).toEqual([])
  const nowhere = { ...owner, 'x-org-id': '7d0e7a0e-0000-4000-8000-000000000000' }
  expect(await unlike({ status: 404, code: 'organization_not_found' }, nowhere)).toEqual([])
})

test('A key that is restricted to no route of this kind is a 403 on every route, and a key without a scope too.', async () => {
  const elsewhere = await storeKey('the-owner', { routes: ['/nothing'] })
  expect(await unlike({ status: 403, code: 'route_not_allowed' }, bearer(elsewhere))).toEqual([])
  const powerless = await storeKey('the-owner', { scopes: [] })
  const wrong = await unlike({ status: 403 }, bearer(powerless))
  expect(wrong).toEqual([])
})

const ROLES = ['owner', 'admin', 'billing_admin', 'member', 'service', 'system_admin'] as const

/** What a role gets from a route: null where nothing of it is refused for the role. */
async function refusalsOf(role: Role, credential: (at: number) => Promise<Record<string, string>>): Promise<string[]> {
  const wrong: string[] = []
  const caller = callerFor({ organizationId: home, userId: 'x', role })
  for (const [at, route] of closed.entries()) {
    const mayPass = can(caller, route.permission)
    // Nothing that fits: what the role may do is refused for that, and changes nothing.
    const { status, code } = await send(route, await credential(at), { body: '{}' })
    const isRefused = status === 401 || (status === 403 && REFUSALS.includes(code ?? ''))
    // Who meant somebody else than themselves is asked for more by the handler.
    const isDecidedLater = route.permission === 'organizations:read_own' || /\/account\/|\{user_id\}$/.test(route.path)
    if (mayPass ? isRefused && !isDecidedLater : status !== 403) wrong.push(`${route.name}: ${status} ${code}`)
  }
  return wrong
}

test.each(ROLES)('%s does what the table allows, and nothing else.', async (role) => {
  expect(await refusalsOf(role, async () => bearer(keys.get(role)))).toEqual([])
})

test('A session does what its user may.', async () => {
  const sessions = storedSessions(product.db.database)
  for (const [role, user] of [
    ['owner', 'the-owner'],
    ['member', 'the-member'],
  ] as const) {
    const session = async (at: number) => {
      // One for each request: a logout ends it.
      await sessions.save(`${user}-${at}`, { user: { user_id: user } }, 600)
      return { cookie: `session_token=${user}-${at}` }
    }
    expect(await refusalsOf(role, session)).toEqual([])
  }
})

test('The organization in a path is refused to a caller who belongs to another.', async () => {
  const named = closed.filter(
    ({ path, permission }) => path.includes('{org_id}') && permission !== 'organizations:read_own',
  )
  expect(named.length).toBeGreaterThan(15)
  for (const role of ['owner', 'member', 'service'] as const) {
    for (const route of named) {
      const { status } = await send(route, bearer(keys.get(role)), { organization: other, body: '{}' })
      expect([route.name, status]).toEqual([route.name, 403])
    }
  }
})
