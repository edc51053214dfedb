/**
 * Requests that could be taken for somebody else's: several credentials, credentials in odd places and odd forms, users and organizations
 * that are not the credential's. Who is charged is certain, or the request is refused.
 */
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { beforeAll, describe, expect, test } from 'vitest'
import { storedSessions } from '../../src/identity/session/session-store.ts'
import { useProduct } from '../support/product.ts'
import { MASTER_KEY, postChat } from '../support/tollgate.ts'
import { chatAnswer } from '../support/upstream-answers.ts'

const ACTING = 'sk-acting-0f7b2c91ad4e5868e3'
const SILENT = 'sk-silent-77c1e09bd2f4a35806'

const product = useProduct(() => ({
  tollgate: {
    limits: { unknown_keys_per_minute: 100_000 },
    service_keys: [
      { name: 'acting', key: ACTING, organization: 'acting', act_as: 'members', routes: ['llm', 'account'] },
      { name: 'silent', key: SILENT, organization: 'silent', routes: ['llm', 'account'] },
    ],
  },
}))

type Headers = readonly (readonly [name: string, value: string])[]

let acme: { id: string; keys: { alice: string; bob: string } }
let beta: { id: string; keys: { carla: string } }

beforeAll(async () => {
  const { db } = product
  acme = await db.seedOrganization({ name: 'acme', credits: 100, users: { alice: 50, bob: 50 } })
  beta = await db.seedOrganization({ name: 'beta', credits: 100, users: { carla: 50 } })
  await db.pool.query(
    `insert into organization_members (org_id, user_id, role) select id, 'dora', 'owner' from organizations where name = 'acting'`,
  )
  const sessions = storedSessions(db.database)
  await sessions.save('of-alice', { user: { user_id: 'alice' } }, 600)
  await sessions.save('of-root', { user: { user_id: 'root', role: 'admin' } }, 600)
  await sessions.save('over', { user: { user_id: 'alice' } }, -1)
})

/** With headers exactly as written, also where one stands twice. Returns who it is, or why it is nobody. */
async function ask(headers: Headers, path = '/auth/session'): Promise<string> {
  const asked = request(`${product.tollgate.url}${path}`, { headers: ['Host', 'gate', ...headers.flat()] })
  asked.end()
  const [answer] = (await once(asked, 'response')) as [IncomingMessage]
  const body = JSON.parse(await text(answer)) as Record<string, unknown>
  const { code } = (body.error ?? {}) as { code?: string }
  return code === undefined ? `${body.user_id} by ${body.credential}` : `${answer.statusCode} ${code}`
}

const alice = () => `Bearer ${acme.keys.alice}`
const UNKNOWN = `uc_${'0'.repeat(64)}`

describe('Who sends two credentials', () => {
  test.each<[string, () => Headers, string]>([
    [
      'that are the same is known',
      () => [
        ['Authorization', alice()],
        ['x-api-key', acme.keys.alice],
      ],
      'alice by api_key',
    ],
    [
      'that differ is nobody',
      () => [
        ['Authorization', alice()],
        ['x-api-key', acme.keys.bob],
      ],
      '401 ambiguous_api_key',
    ],
    [
      'of which one is the master key is nobody',
      () => [
        ['api-key', MASTER_KEY],
        ['Authorization', alice()],
      ],
      '401 ambiguous_api_key',
    ],
    [
      'in one header twice is nobody',
      () => [
        ['Authorization', alice()],
        ['authorization', `Bearer ${acme.keys.bob}`],
      ],
      '401 ambiguous_api_key',
    ],
    [
      'in one header twice is nobody, also where they are the same',
      () => [
        ['Authorization', alice()],
        ['AUTHORIZATION', alice()],
      ],
      '401 ambiguous_api_key',
    ],
    [
      'in another header twice is nobody',
      () => [
        ['x-api-key', acme.keys.alice],
        ['X-API-Key', acme.keys.bob],
      ],
      '401 invalid_authorization',
    ],
    ['joined by a comma is nobody', () => [['Authorization', `${alice()},${acme.keys.bob}`]], '401 invalid_api_key'],
    [
      'joined by a comma and a space is nobody',
      () => [['Authorization', `${alice()}, Bearer ${acme.keys.bob}`]],
      '401 invalid_authorization',
    ],
    [
      'of which one comes first is who that says',
      () => [
        ['x-litellm-api-key', acme.keys.bob],
        ['Authorization', alice()],
      ],
      'bob by api_key',
    ],
    [
      'of which the first is empty is nobody',
      () => [
        ['x-litellm-api-key', ''],
        ['Authorization', alice()],
      ],
      '401 invalid_authorization',
    ],
    [
      'of which the first is unknown is nobody',
      () => [
        ['x-litellm-api-key', UNKNOWN],
        ['Authorization', alice()],
      ],
      '401 invalid_api_key',
    ],
    [
      'a key and a session is the key’s',
      () => [
        ['Cookie', 'session_token=of-root'],
        ['Authorization', alice()],
      ],
      'alice by api_key',
    ],
    [
      'a key that is unknown and a session is nobody',
      () => [
        ['Cookie', 'session_token=of-root'],
        ['Authorization', `Bearer ${UNKNOWN}`],
      ],
      '401 invalid_api_key',
    ],
    [
      'an Authorization of another scheme and a session is nobody',
      () => [
        ['Cookie', 'session_token=of-root'],
        ['Authorization', 'Basic cm9vdDpyb290'],
      ],
      '401 invalid_authorization',
    ],
    [
      'two sessions is nobody',
      () => [['Cookie', 'session_token=of-alice; session_token=of-root']],
      '401 ambiguous_session',
    ],
    [
      'two sessions in two headers is nobody',
      () => [
        ['Cookie', 'session_token=of-alice'],
        ['Cookie', 'session_token=of-root'],
      ],
      '401 ambiguous_session',
    ],
    [
      'one session twice is known',
      () => [['Cookie', 'session_token=of-alice; theme=dark; session_token=of-alice']],
      'alice by session',
    ],
    [
      'a session beside a cookie of a longer name is known',
      () => [['Cookie', 'my_session_token=of-root; session_token=of-alice; session_tokens=of-root']],
      'alice by session',
    ],
  ])('Of two credentials in one request, %s.', async (_, headers, expected) => {
    expect(await ask(headers())).toBe(expected)
  })
})

describe('A credential', () => {
  test.each<[string, () => Headers, string, string?]>([
    [
      'with its scheme in odd letters is good',
      () => [['Authorization', `bEaReR ${acme.keys.alice}`]],
      'alice by api_key',
    ],
    ['behind several spaces is good', () => [['Authorization', `Bearer   ${acme.keys.alice} `]], 'alice by api_key'],
    [
      'with its scheme in a header for keys is good',
      () => [['X-Service-Key', `Bearer ${acme.keys.alice}`]],
      'alice by api_key',
    ],
    ['without its scheme is not', () => [['Authorization', acme.keys.alice]], '401 invalid_authorization'],
    ['with its scheme twice is not', () => [['Authorization', `Bearer ${alice()}`]], '401 invalid_authorization'],
    [
      'in capitals is not',
      () => [['Authorization', `Bearer uc_${acme.keys.alice.slice(3).toUpperCase().replace(/\d/g, 'A')}`]],
      '401 invalid_api_key',
    ],
    [
      'with letters that look alike is not',
      () => [['Authorization', `Bearer \xb5${acme.keys.alice}`]],
      '401 invalid_api_key',
    ],
    ['as the name of a session is not', () => [['Cookie', `session_token=${acme.keys.alice}`]], '401 invalid_session'],
    ['of a session as a key is not', () => [['Authorization', 'Bearer of-alice']], '401 invalid_api_key'],
    ['of a session that is over is not', () => [['Cookie', 'session_token=over']], '401 invalid_session'],
    ['of a session, encoded, is the same one', () => [['Cookie', 'session_token=%6Ff-alice']], 'alice by session'],
    [
      'that names a member of all objects is not',
      () => [['Cookie', 'session_token=__proto__; __proto__=of-root']],
      '401 invalid_session',
    ],
    ['in the address is not', () => [], '401 missing_api_key', `/auth/session?key=KEY&api_key=KEY&access_token=KEY`],
    ['for a proxy is not', () => [['Proxy-Authorization', alice()]], '401 missing_api_key'],
  ])('A credential %s.', async (_, headers, expected, path) => {
    expect(await ask(headers(), path?.replaceAll('KEY', acme.keys.alice))).toBe(expected)
  })

  test('A credential in the address is in no line of the log.', () => {
    expect(product.tollgate.output()).not.toContain(acme.keys.alice)
  })
})

describe('A user or an organization that is not the credential’s', () => {
  test.each<[string, () => Headers, string]>([
    [
      'is refused to a service: a user of another organization',
      () => [
        ['X-Service-Key', ACTING],
        ['X-User-ID', 'alice'],
      ],
      '403 not_a_member',
    ],
    [
      'is refused to a service: a user of no organization',
      () => [
        ['X-Service-Key', ACTING],
        ['X-User-ID', 'nobody'],
      ],
      '403 not_a_member',
    ],
    [
      'is refused to a service: a user without a name',
      () => [
        ['X-Service-Key', ACTING],
        ['X-User-ID', ''],
      ],
      '403 not_a_member',
    ],
    [
      'is refused to a service: two users',
      () => [
        ['X-Service-Key', ACTING],
        ['X-User-ID', 'dora'],
        ['X-User-ID', 'dora'],
      ],
      '403 not_a_member',
    ],
    [
      'is refused to a service: a user under another organization',
      () => [
        ['X-Service-Key', ACTING],
        ['X-User-ID', 'alice'],
        ['X-Org-ID', acme.id],
      ],
      '403 not_a_member',
    ],
    [
      'is refused to a service that may not act as members',
      () => [
        ['X-Service-Key', SILENT],
        ['X-User-ID', 'dora'],
      ],
      '403 act_as_not_allowed',
    ],
    [
      'is honoured for a service: a member, with the rights of the service',
      () => [
        ['X-Service-Key', ACTING],
        ['X-User-ID', 'dora'],
      ],
      'dora by service_key',
    ],
    [
      'changes nothing for who is no service',
      () => [
        ['Authorization', alice()],
        ['X-User-ID', 'bob'],
      ],
      'alice by api_key',
    ],
    [
      'is refused: another organization',
      () => [
        ['Authorization', alice()],
        ['X-Org-ID', beta.id],
      ],
      '403 not_a_member',
    ],
    [
      'is refused: two organizations',
      () => [
        ['Authorization', alice()],
        ['X-Org-ID', acme.id],
        ['X-Org-ID', beta.id],
      ],
      '404 organization_not_found',
    ],
    [
      'is refused: an organization by its name',
      () => [
        ['Authorization', alice()],
        ['X-Org-ID', 'acme'],
      ],
      '404 organization_not_found',
    ],
    [
      'is refused: an id in braces',
      () => [
        ['Authorization', alice()],
        ['X-Org-ID', `{${acme.id}}`],
      ],
      '404 organization_not_found',
    ],
    [
      'is refused: a text for SQL',
      () => [
        ['Authorization', alice()],
        ['X-Org-ID', `${acme.id}' or '1'='1`],
      ],
      '404 organization_not_found',
    ],
    [
      'is no other one: the own id in capitals',
      () => [
        ['Authorization', alice()],
        ['X-Org-ID', acme.id.toUpperCase()],
      ],
      'alice by api_key',
    ],
  ])('A user or an organization that is not the credential’s %s.', async (_, headers, expected) => {
    expect(await ask(headers())).toBe(expected)
  })
})

test('A service that lost the name of its user is not charged for it.', async () => {
  product.upstream.respond(chatAnswer({ model: 'exact' }))
  const before = product.upstream.requests.length
  const body = { model: 'exact', max_tokens: 10, messages: [{ role: 'user', content: 'Hi' }] }
  const answer = await postChat(product.tollgate, ACTING, body, { headers: { 'x-user-id': '' } })
  expect([answer.status, product.upstream.requests.length]).toEqual([403, before])
})
