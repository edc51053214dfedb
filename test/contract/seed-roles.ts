/** Somebody of every role in one organization, a second organization that nobody needs, and things of both that requests can name. */
import { createKey } from '../../src/billing/create-key.ts'
import { createOrganization } from '../../src/billing/create-organization.ts'
import type { Database } from '../../src/db/connect.ts'
import { storedSessions } from '../../src/identity/session/session-store.ts'
import type { ScriptedStripe } from '../support/stripe.ts'
import { MASTER_KEY, postChat, type Tollgate } from '../support/tollgate.ts'

const MICRO = 1_000_000n
const ROLES = ['owner', 'admin', 'billing_admin', 'member'] as const
const PAYMENTS = 20

export interface Seeded {
  /** The headers by which each role is known; none for nobody. */
  roles: Record<string, Record<string, string>>
  /** By the name of a parameter or a member, ids of things that are there. */
  ids: Record<string, (string | number)[]>
  /** The organization that nobody needs. */
  scrap: string[]
}

export async function seedRoles(
  { database, tollgate }: { database: Database; tollgate: Tollgate },
  stripe: ScriptedStripe,
): Promise<Seeded> {
  const [home, scrap] = [await organization(database, 'home'), await organization(database, 'scrap')]
  const roles: Seeded['roles'] = {
    nobody: {},
    system_admin: bearer(MASTER_KEY),
    none: { cookie: 'session_token=of-none', 'sec-fetch-site': 'same-origin' },
  }
  await storedSessions(database).save('of-none', { user: { user_id: 'of-none' } }, 3_600)
  for (const role of ROLES) {
    const key = await createKey(database, {
      organization: home,
      user: role,
      allocate: 10n ** 6n * MICRO,
      role,
      name: null,
    })
    roles[role] = bearer(key.key)
  }
  const ask = (path: string, body: unknown, headers = roles.owner) => post(tollgate, path, headers ?? {}, body)
  const service = await ask(
    '/api/v1/admin/service-keys',
    { name: 'service', organization: home, routes: ['/*'] },
    roles.system_admin,
  )
  roles.service = bearer(String(service.key))
  await ask('/api/v1/admin/service-keys', { name: 'spare', organization: home }, roles.system_admin)
  const spare = await Promise.all(
    [1, 2, 3].map((n) => ask('/api/v1/account/uc-api-keys', { name: `spare-${n}`, expires_in_days: 1 })),
  )
  const invited = await ask(
    `/api/v1/org-billing/organizations/${scrap}/invitations`,
    { email: 'a@example.com' },
    roles.system_admin,
  )
  const call = await postChat(
    tollgate,
    MASTER_KEY,
    { model: 'exact', messages: [{ role: 'user', content: 'Hi' }] },
    { headers: { 'x-org-id': home } },
  )
  const ids = {
    org_id: [home, home, home, scrap],
    user_id: [...ROLES],
    call_id: [call.headers.get('x-litellm-call-id') ?? ''],
    key_id: spare.map(({ key_id }) => String(key_id)),
    invitation_id: [String(invited.id)],
    provider: ['openai', 'openrouter'],
    key: ['openai', 'xai'],
    model: ['gpt-4o-mini', 'exact'],
    amount: [10, 50, 100],
    stripe_payment_id: payments(stripe, home),
  }
  return { roles, ids, scrap: [scrap] }
}

async function organization(database: Database, name: string): Promise<string> {
  const { id } = await createOrganization(database, { name, plan: 'platform', credits: 10n ** 9n * MICRO })
  return id
}

function payments(stripe: ScriptedStripe, org_id: string): string[] {
  return Array.from({ length: PAYMENTS }, (_, index) => {
    const id = `pi_contract${index}`
    const payment = { id, object: 'payment_intent', status: 'succeeded', currency: 'usd', amount_received: 10_000 }
    stripe.payments.set(id, { ...payment, metadata: { org_id } })
    return id
  })
}

async function post(tollgate: Tollgate, path: string, headers: Record<string, string>, body: unknown) {
  const response = await fetch(`${tollgate.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
  if (!response.ok) throw new Error(`${response.status} from ${path}: ${await response.text()}`)
  return (await response.json()) as Record<string, unknown>
}

function bearer(key: string): Record<string, string> {
  return { authorization: `Bearer ${key}` }
}
