/** Organizations of one user with one key each, and credits no run uses up. */
import { randomBytes, randomUUID } from 'node:crypto'
import type pg from 'pg'
import { newApiKey } from '../src/identity/api-key.ts'
import type { Payer } from '../src/ledger/ledger.ts'

/** Credits of each organization: a million dollars. */
const CREDITS = '1000000000'
const SEEDED = [
  'organizations',
  'organization_subscriptions',
  'organization_members',
  'organization_credit_pools',
  'user_credit_allocations',
  'tollgate.api_keys',
  'tollgate.ledger_journal',
]

export interface SeededPayer extends Payer {
  /** To send as a bearer token. */
  key: string
}

/** @param credits of each. */
export async function seed(client: pg.Client, organizations: number, credits = CREDITS): Promise<SeededPayer[]> {
  const run = randomBytes(4).toString('hex')
  const made = Array.from({ length: organizations }, (_, i) => {
    const { key, hash, preview } = newApiKey()
    const name = `bench-${run}-${i}`
    return { id: randomUUID(), keyId: randomUUID(), name, user: `user-${i}`, key, hash, preview }
  })
  const ids = made.map(({ id }) => id)
  const users = made.map(({ user }) => user)
  await client.query('insert into organizations (id, name) select * from unnest($1::uuid[], $2::text[])', [
    ids,
    made.map(({ name }) => name),
  ])
  await client.query(
    `insert into organization_subscriptions (org_id, subscription_plan) select id, 'platform' from unnest($1::uuid[]) id`,
    [ids],
  )
  await client.query(
    `insert into organization_members (org_id, user_id, role)
      select org, member, 'owner' from unnest($1::uuid[], $2::text[]) as t (org, member)`,
    [ids, users],
  )
  // One statement each: the functions lock what they change, and a thousand locks at once would be the benchmark's doing.
  for (const { id, user } of made) {
    await client.query('select add_credits_to_pool($1, $2)', [id, credits])
    await client.query('select allocate_credits_to_user($1, $2, $3)', [id, user, credits])
  }
  await client.query(
    `insert into tollgate.api_keys (id, key_hash, preview, org_id, user_id)
      select * from unnest($1::uuid[], $2::bytea[], $3::text[], $4::uuid[], $5::text[])`,
    [made.map(({ keyId }) => keyId), made.map(({ hash }) => hash), made.map(({ preview }) => preview), ids, users],
  )
  // What autovacuum does within a minute. Not of tables that are still empty, which it never does: the planner would take them
  // for tiny, and every session would keep reading them whole for as long as it lives (measured: 14 ms a call after 14 000 calls).
  await client.query(`analyze ${SEEDED.join(', ')}`)
  return made.map(({ id, user, keyId, key }) => ({ organizationId: id, userId: user, keyId, key }))
}
