/** A database in which Ops-Center made its tables before Tollgate came. */
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { connect, type Database } from '../../src/db/connect.ts'
import { migrate } from '../../src/db/migrate.ts'
import { createLog } from '../../src/observe/log.ts'
import { readFernetKey } from '../../src/vault/fernet.ts'
import { importFernet } from '../../src/vault/import-fernet.ts'
import { openVault } from '../../src/vault/vault.ts'
import { urlOfDatabase } from '../support/global-database.ts'
import { newRootKey } from '../support/vault.ts'

const server = inject('databaseServer').url
const fixture = JSON.parse(readFileSync(new URL('./fernet-tokens.json', import.meta.url), 'utf8'))
const change = { actor: 'test', ip: null, requestId: null }

/** As its code makes the tables, and as its other definitions do: without some columns, and with dates that may be missing. */
const TABLES: Readonly<Record<string, string>> = {
  'by its code': `
    create table platform_settings (key varchar(255) primary key, value text not null, category varchar(50),
      is_secret boolean default false, updated_at timestamp default now());
    create table user_provider_keys (id serial primary key, user_id varchar(255) not null, provider varchar(50) not null,
      api_key_encrypted text not null, metadata jsonb, enabled boolean default true, last_used timestamp,
      unique (user_id, provider))`,
  'by its migrations': `
    create table platform_settings (id uuid primary key default gen_random_uuid(), category varchar(50) not null,
      key varchar(100) not null, value text, is_encrypted boolean default false, unique (category, key));
    create table user_provider_keys (id uuid primary key default gen_random_uuid(), user_id varchar(100) not null,
      provider varchar(50) not null, api_key_encrypted text not null, metadata jsonb default '{}', enabled boolean,
      created_at timestamp, updated_at timestamp, unique (user_id, provider))`,
}
const UPSERTS: Readonly<Record<string, string>> = {
  'by its code': `insert into platform_settings (key, value, category, is_secret, updated_at)
    values ('openai_api_key', $1, 'api_keys', true, now())
    on conflict (key) do update set value = excluded.value, updated_at = now()`,
  'by its migrations': `insert into platform_settings (key, value, category) values ('openai_api_key', $1, 'api_keys')
    on conflict (category, key) do update set value = excluded.value`,
}

async function onServer(statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: server })
  await client.connect()
  await client.query(statement).finally(() => client.end())
}

describe.each(Object.keys(TABLES))('made %s', (made) => {
  const name = `existing_${randomUUID().replaceAll('-', '')}`
  const url = urlOfDatabase(server, name)
  let database: Database

  beforeAll(async () => {
    await onServer(`create database ${name}`)
    database = connect(url)
    await database.pool.query(TABLES[made] ?? '')
    await database.pool.query(
      "insert into platform_settings (key, value, category) values ('openai_api_key', $1, 'api_keys'), ('theme', 'dark', 'ui')",
      [fixture.tokens[0].token],
    )
    await database.pool.query(
      "insert into user_provider_keys (user_id, provider, api_key_encrypted) values ('alice', 'google', $1)",
      [fixture.tokens[1].token],
    )
  })
  afterAll(async () => {
    await database.close()
    await onServer(`drop database ${name} with (force)`)
  })

  test('Existing tables keep their rows and their own way of being written; keys are read, imported and changed.', async () => {
    await migrate(url)
    const roots = [newRootKey()]
    const fernetKeys = [readFernetKey(fixture.encryptionKey)!]
    const log = createLog('silent')
    const vault = await openVault({ database, databaseUrl: url, roots, fernetKeys, log, now: () => performance.now() })
    const platform = { kind: 'platform' } as const
    const alice = { kind: 'user', id: 'alice' } as const
    const dates = { createdAt: expect.any(Date), updatedAt: expect.any(Date) }
    try {
      expect(await vault.find('openai', platform)).toBe(fixture.tokens[0].text)
      expect(await vault.find('gemini', alice)).toBe(fixture.tokens[1].text)
      expect(await importFernet(database, { roots, fernetKeys, change })).toEqual({ imported: 2, unreadable: [] })
      expect(await vault.list(alice)).toMatchObject([
        { id: expect.any(String), provider: 'gemini', problem: null, updatedBy: 'test', ...dates },
      ])
      await vault.save('openai', alice, 'sk-proj-second-0123456789', change)
      await vault.save('groq', platform, 'gsk_second-0123456789', change)
      await vault.save('groq', platform, 'gsk_third-0123456789', change)
      await database.pool.query(UPSERTS[made] ?? '', [fixture.tokens[2].token])
      expect(await vault.find('openai', alice)).toBe('sk-proj-second-0123456789')
      expect(await vault.find('groq', platform)).toBe('gsk_third-0123456789')
      await expect.poll(() => vault.find('openai', platform)).toBe(fixture.tokens[2].text)
      expect(await vault.list(platform)).toMatchObject([
        { provider: 'groq', problem: null, ...dates },
        { provider: 'openai', problem: null, ...dates },
      ])
    } finally {
      await vault.close()
    }
  })
})
