/** A database in which Ops-Center made its tables before Tollgate came. */
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import pg from 'pg'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { connect, type Database } from '../../src/db/connect.ts'
import { migrate, readMigrations } from '../../src/db/migrate.ts'
import { createLog } from '../../src/observe/log.ts'
import { readFernetKey } from '../../src/vault/fernet.ts'
import { importFernet } from '../../src/vault/import-fernet.ts'
import { openVault } from '../../src/vault/vault.ts'
import { urlOfDatabase } from '../support/global-database.ts'
import { newRootKey } from '../support/vault.ts'

const server = inject('databaseServer').url
const name = `existing_${randomUUID().replaceAll('-', '')}`
const url = urlOfDatabase(server, name)
const fixture = JSON.parse(readFileSync(new URL('./fernet-tokens.json', import.meta.url), 'utf8'))
const change = { actor: 'test', ip: null, requestId: null }
let database: Database

async function onServer(statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: server })
  await client.connect()
  await client.query(statement).finally(() => client.end())
}

beforeAll(async () => {
  await onServer(`create database ${name}`)
  database = connect(url)
  await migrate(
    url,
    (await readMigrations()).filter(({ id }) => id < 15),
  )
  await database.pool.query(`
    create table platform_settings (key varchar(255) primary key, value text not null, category varchar(50),
      is_secret boolean default false, updated_at timestamp default now());
    create table user_provider_keys (id serial primary key, user_id varchar(255) not null, provider varchar(50) not null,
      api_key_encrypted text not null, metadata jsonb, enabled boolean default true, last_used timestamp,
      unique (user_id, provider))`)
  await database.pool.query("insert into platform_settings values ('openai_api_key', $1, 'api_keys', true)", [
    fixture.tokens[0].token,
  ])
  await database.pool.query(
    "insert into user_provider_keys (user_id, provider, api_key_encrypted) values ('alice', 'google', $1)",
    [fixture.tokens[1].token],
  )
})
afterAll(async () => {
  await database.close()
  await onServer(`drop database ${name} with (force)`)
})

test('keeps its rows and its own way of writing them; keys are read, imported and changed', async () => {
  await migrate(url)
  const roots = [newRootKey()]
  const fernetKeys = [readFernetKey(fixture.encryptionKey)!]
  const log = createLog('silent')
  const vault = await openVault({ database, databaseUrl: url, roots, fernetKeys, log, now: () => performance.now() })
  const alice = { kind: 'user', id: 'alice' } as const
  try {
    expect(await vault.find('openai', { kind: 'platform' })).toBe(fixture.tokens[0].text)
    expect(await vault.find('gemini', alice)).toBe(fixture.tokens[1].text)
    expect(await importFernet(database, { roots, fernetKeys, change })).toEqual({ imported: 2, unreadable: [] })
    expect(await vault.list(alice)).toMatchObject([{ id: '1', provider: 'gemini', problem: null, updatedBy: 'test' }])
    await vault.save('openai', alice, 'sk-proj-second-0123456789', change)
    // Ops-Center's own statement.
    await database.pool.query(
      `insert into platform_settings (key, value, category, is_secret, updated_at) values ('openai_api_key', $1, 'api_keys', true, now())
        on conflict (key) do update set value = excluded.value, updated_at = now()`,
      [fixture.tokens[2].token],
    )
    expect(await vault.find('openai', alice)).toBe('sk-proj-second-0123456789')
    await expect.poll(() => vault.find('openai', { kind: 'platform' })).toBe(fixture.tokens[2].text)
  } finally {
    await vault.close()
  }
})
