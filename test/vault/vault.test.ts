/** Stored provider keys on a real database: who gets which, what is in the rows, and what a bad row can't do. */
import { createCipheriv, createHmac, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { TollgateError } from '../../src/http/errors.ts'
import { listAuditEntries } from '../../src/vault/audit-log.ts'
import { type FernetKey, readFernetKey } from '../../src/vault/fernet.ts'
import type { KeyOwner } from '../../src/vault/key-owner.ts'
import type { Change } from '../../src/vault/vault.ts'
import { useDatabase } from '../support/database.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { newRootKey, openTestVault, type TestVault } from '../support/vault.ts'

const db = useDatabase()
const root = newRootKey()
const platform: KeyOwner = { kind: 'platform' }
const alice: KeyOwner = { kind: 'user', id: 'alice' }
const bob: KeyOwner = { kind: 'user', id: 'bob/openai' }
const change: Change = { actor: 'root@example.com', ip: '192.0.2.7', requestId: 'req-1' }
const KEY = 'sk-proj-FIRST-0123456789abcdef'
const NEXT = 'sk-proj-SECOND-0123456789abcdef'

let vault: TestVault
let vaults: TestVault[]
const open = async (options: Partial<Parameters<typeof openTestVault>[1]> = {}) => {
  const opened = await openTestVault(db, { roots: [root], ...options })
  vaults.push(opened)
  return opened
}

beforeEach(async () => {
  vaults = []
  vault = await open()
})
afterEach(async () => {
  for (const one of vaults) await one.close()
  await db.pool.query(
    'delete from platform_settings; delete from user_provider_keys; delete from tollgate.organization_provider_keys',
  )
})

const value = async (key: string) => {
  const { rows } = await db.pool.query('select value from platform_settings where key = $1', [key])
  return rows[0]?.value as string
}
const organization = async (): Promise<KeyOwner> => {
  const { id } = await db.seedOrganization({ credits: 0, users: { alice: 0 } })
  return { kind: 'organization', id }
}

describe('a stored key', () => {
  test('A stored key is its owner’s and nobody else’s.', async () => {
    const acme = await organization()
    for (const [index, owner] of [platform, acme, alice, bob].entries())
      await vault.save('openai', owner, `${KEY}-${index}`, change)
    const other = await open()
    for (const [index, owner] of [platform, acme, alice, bob].entries())
      expect(await other.find('openai', owner)).toBe(`${KEY}-${index}`)
    expect(await other.find('groq', platform)).toBeNull()
    expect(await other.find('openai', { kind: 'user', id: 'bob' })).toBeNull()
    expect(await other.find('openai', { kind: 'organization', id: 'no-uuid' })).toBeNull()
    expect(await other.find('openai', { kind: 'user', id: 'nul\0' })).toBeNull()
  })

  test('A stored key stands sealed under the documented names.', async () => {
    const providers = [
      'openrouter',
      'openai',
      'anthropic',
      'huggingface',
      'groq',
      'xai',
      'gemini',
      'provisioning',
    ] as const
    for (const provider of providers) await vault.save(provider, platform, KEY, change)
    await vault.save('gemini', alice, KEY, change, { label: 'mine' })
    const { rows } = await db.pool.query('select key, category, is_secret, enabled from platform_settings order by key')
    expect(rows.map((row) => row.key)).toEqual([
      'anthropic_api_key',
      'google_ai_api_key',
      'groq_api_key',
      'huggingface_api_key',
      'openai_api_key',
      'openrouter_api_key',
      'provisioning_key',
      'xai_api_key',
    ])
    for (const row of rows) expect(row).toMatchObject({ category: 'api_keys', is_secret: true, enabled: true })
    expect(await value('openai_api_key')).toMatch(new RegExp(`^tollgate:${root.name}:AgR4`))
    const users = await db.pool.query('select user_id, provider, metadata, enabled from user_provider_keys')
    expect(users.rows).toEqual([{ user_id: 'alice', provider: 'google', metadata: { label: 'mine' }, enabled: true }])
    expect(await vault.find('gemini', alice)).toBe(KEY)
  })

  test('A stored key is listed by its mask, with who changed it last.', async () => {
    await vault.save('openai', alice, KEY, change)
    await vault.save('groq', alice, 'gsk_short12', { ...change, actor: 'alice' })
    await vault.setEnabled('openai', alice, false, { ...change, actor: 'bob' })
    const dates = { createdAt: expect.any(Date), updatedAt: expect.any(Date), id: expect.any(String) }
    expect(await vault.list(alice)).toEqual([
      { ...dates, provider: 'groq', mask: '***', enabled: true, metadata: {}, updatedBy: 'alice', problem: null },
      {
        ...dates,
        provider: 'openai',
        mask: 'sk-proj...cdef',
        enabled: false,
        metadata: {},
        updatedBy: 'bob',
        problem: null,
      },
    ])
    expect(await vault.list(bob)).toEqual([])
  })

  test('A stored key can be replaced, switched off and on, and removed; there is nothing to do where there is none.', async () => {
    await vault.save('openai', platform, KEY, change)
    expect(await vault.save('openai', platform, NEXT, change)).toMatchObject({ mask: 'sk-proj...cdef', enabled: true })
    expect(await vault.find('openai', platform)).toBe(NEXT)
    expect(await vault.setEnabled('openai', platform, false, change)).toBe(true)
    expect(await vault.find('openai', platform)).toBeNull()
    expect(await vault.setEnabled('openai', platform, true, change)).toBe(true)
    expect(await vault.find('openai', platform)).toBe(NEXT)
    expect(await vault.remove('openai', platform, change)).toBe(true)
    expect(await vault.find('openai', platform)).toBeNull()
    expect(await vault.remove('openai', platform, change)).toBe(false)
    expect(await vault.setEnabled('openai', platform, true, change)).toBe(false)
  })

  test.each(['', 'short', 'sk-with space', 'sk-with\nbreak', 'sk-ключ-0123456', `sk-${'x'.repeat(4_100)}`])(
    'A stored key is refused where it could not be sent: %j.',
    async (key) => {
      const error = await vault.save('openai', platform, key, change).catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({ status: 400, code: 'invalid_provider_key' })
      expect(await value('openai_api_key')).toBeUndefined()
    },
  )

  test('A stored key needs an owner that exists.', async () => {
    const nobody: KeyOwner = { kind: 'organization', id: '00000000-0000-4000-8000-000000000000' }
    await expect(vault.save('openai', nobody, KEY, change)).rejects.toMatchObject({ status: 404 })
    for (const provider of ['provisioning', 'google', 'Open AI', ''])
      await expect(vault.save(provider, alice, KEY, change)).rejects.toMatchObject({ code: 'invalid_provider' })
    for (const provider of ['google_ai', '../openai']) expect(await vault.find(provider, platform)).toBeNull()
  })
})

describe('the cache', () => {
  test('The cache answers without a promise, without the database.', async () => {
    await vault.save('openai', platform, KEY, change)
    expect(vault.find('openai', platform)).toBeInstanceOf(Promise)
    expect(vault.find('groq', alice)).toBeInstanceOf(Promise)
    await vi.waitFor(() => expect([vault.find('openai', platform), vault.find('groq', alice)]).toEqual([KEY, null]))
    let connections = 0
    const count = () => {
      connections += 1
    }
    db.pool.on('acquire', count)
    for (let n = 0; n < 10_000; n++) {
      expect(vault.find('openai', platform)).toBe(KEY)
      expect(vault.find('groq', alice)).toBeNull()
    }
    db.pool.off('acquire', count)
    expect(connections).toBe(0)
  })

  test('The cache hears of what another process or psql changed; its own clock stands still meanwhile.', async () => {
    await vault.save('openai', platform, KEY, change)
    const other = await open()
    expect(await other.find('openai', platform)).toBe(KEY)
    await vault.save('openai', platform, NEXT, change)
    await vi.waitFor(async () => expect(await other.find('openai', platform)).toBe(NEXT))
    await db.pool.query("update platform_settings set enabled = false where key = 'openai_api_key'")
    await vi.waitFor(async () => expect(await other.find('openai', platform)).toBeNull())
    await db.pool.query("update platform_settings set enabled = true where key = 'openai_api_key'")
    await vi.waitFor(async () => expect(await other.find('openai', platform)).toBe(NEXT))
    await db.pool.query('truncate platform_settings')
    await vi.waitFor(async () => expect(await other.find('openai', platform)).toBeNull())
  })

  test.each(['cut', 'stall'] as const)(
    'The cache uses nothing older than a second when the connection is %s.',
    async (way) => {
      await vault.save('openai', platform, KEY, change)
      const proxy = await startTcpProxy(db.url)
      try {
        const other = await open({ databaseUrl: proxy.url })
        expect(await other.find('openai', platform)).toBe(KEY)
        proxy[way]()
        await vault.save('openai', platform, NEXT, change)
        other.clock.now += 1_000
        expect(await other.find('openai', platform)).toBe(NEXT)
        if (way === 'cut')
          await vi.waitFor(() => expect(other.logged()).toContain('changes of provider keys are not heard'))
        proxy.restore()
        // Heard again, with the clock standing still.
        await vi.waitFor(async () => {
          await vault.save('openai', platform, KEY, change)
          await vi.waitFor(async () => expect(await other.find('openai', platform)).toBe(KEY), 200)
        }, 10_000)
      } finally {
        await proxy.close()
      }
    },
  )
})

describe('a row that does not open', () => {
  const spoil = async (to: string) => {
    await vault.save('openai', platform, KEY, change)
    await vault.save('groq', platform, NEXT, change)
    await db.pool.query("update platform_settings set value = $1 where key = 'openai_api_key'", [to])
    const other = await open()
    const error = await Promise.resolve(other.find('openai', platform)).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(TollgateError)
    expect(error).toMatchObject({
      status: 503,
      message: "The stored key of openai can't be used. Save it again, or tell the operator.",
    })
    expect(await other.find('groq', platform)).toBe(NEXT)
    const [groq, openai] = await other.list(platform)
    expect([groq?.mask, groq?.problem]).toEqual(['sk-proj...cdef', null])
    expect(openai?.mask).toBe('***')
    expect(other.logged()).toContain('"subject":"platform/openai_api_key"')
    expect(other.logged()).toContain(openai?.problem)
    expect(other.logged()).not.toContain('FIRST')
    // Saved again, it is as good as any.
    await other.save('openai', platform, KEY, change)
    expect(await other.find('openai', platform)).toBe(KEY)
    return openai?.problem
  }
  const sealed = async (from: TestVault = vault) => {
    await from.save('openai', platform, KEY, change)
    return value('openai_api_key')
  }

  test('A row does not open because it was moved from another row.', async () => {
    await vault.save('anthropic', alice, KEY, change)
    const { rows } = await db.pool.query(
      "select api_key_encrypted as sealed from user_provider_keys where user_id = 'alice'",
    )
    expect(await spoil(rows[0].sealed)).toBe(
      'it was sealed for another place (provider-key, anthropic, user:alice) and moved here; save the key again',
    )
  })

  test('A row does not open because it was cut.', async () => {
    expect(await spoil((await sealed()).slice(0, -40))).toBe(
      'it was cut or changed since it was sealed; save the key again',
    )
  })

  test('A row does not open because a bit was flipped.', async () => {
    const text = await sealed()
    const flipped = text.replace(/.{8}$/, (end) => `${end[0] === 'A' ? 'B' : 'A'}${end.slice(1)}`)
    expect(await spoil(flipped)).toBe('it was cut or changed since it was sealed; save the key again')
  })

  test('A row does not open because it stands there in clear.', async () => {
    expect(await spoil(KEY)).toBe('it is not sealed, so it was not stored by Tollgate; save the key again')
  })

  test('A row does not open because it was sealed under another root key.', async () => {
    // Who still runs would register its root key again.
    await vault.close()
    const stranger = newRootKey()
    await db.pool.query('delete from tollgate.vault_root')
    const elsewhere = await open({ roots: [stranger] })
    const text = await sealed(elsewhere)
    await elsewhere.close()
    await db.pool.query('delete from tollgate.vault_root')
    vault = await open()
    expect(await spoil(text)).toBe(
      `it is sealed under root key ${stranger.name}, and here is ${root.name}; give this process that root key as well, or save the key again`,
    )
  })

  test('A row that is empty is no row at all.', async () => {
    await vault.save('openai', platform, KEY, change)
    for (const empty of ['', null]) {
      await db.pool.query("update platform_settings set value = $1 where key = 'openai_api_key'", [empty])
      const other = await open()
      expect(await other.find('openai', platform)).toBeNull()
      expect(await other.list(platform)).toEqual([])
    }
  })
})

test('A Fernet token is read while its key is there, and named where it is not.', async () => {
  const { encryptionKey, tokens } = JSON.parse(readFileSync(new URL('./fernet-tokens.json', import.meta.url), 'utf8'))
  await db.pool.query(
    "insert into platform_settings (key, value, category) values ('openai_api_key', $1, 'api_keys')",
    [tokens[0].token],
  )
  const other = await open({ fernetKeys: [readFernetKey(encryptionKey)!] })
  expect(await other.find('openai', platform)).toBe(tokens[0].text)
  await expect(vault.find('openai', platform)).rejects.toMatchObject({ status: 503 })
  expect((await vault.list(platform))[0]?.problem).toBe(
    'it is a Fernet token; set ENCRYPTION_KEY to the key it was made with, then run: tollgate keys import-fernet',
  )
})

test.each([
  ['a line break behind it', 'sk-proj-0123456789\n'],
  ['a header behind it', 'sk-proj-0123456789\r\nX-Other: 1'],
  ['a character no header has', 'sk-proj-0123456789…'],
  ['nothing in it', ''],
])('A Fernet token with %s is refused by name: no header carries it.', async (_, text) => {
  const fernetKey = { signing: randomBytes(16), encryption: randomBytes(16) }
  await db.pool.query(
    "insert into platform_settings (key, value, category) values ('openai_api_key', $1, 'api_keys')",
    [fernetToken(text, fernetKey)],
  )
  const other = await open({ fernetKeys: [fernetKey] })
  await expect(other.find('openai', platform)).rejects.toMatchObject({ status: 503, code: 'provider_key_unavailable' })
  expect(await other.list(platform)).toMatchObject([
    { mask: '***', problem: 'it holds characters that no header carries, so it is no key; save the key again' },
  ])
})

/** As Python's cryptography.fernet makes them. */
function fernetToken(text: string, { signing, encryption }: FernetKey): string {
  const head = Buffer.concat([Buffer.from([0x80]), Buffer.alloc(8), randomBytes(16)])
  const cipher = createCipheriv('aes-128-cbc', encryption, head.subarray(9))
  const signed = Buffer.concat([head, cipher.update(text), cipher.final()])
  const token = Buffer.concat([signed, createHmac('sha256', signing).update(signed).digest()])
  return token.toString('base64').replaceAll('+', '-').replaceAll('/', '_')
}

test('A process with another root key does not start, and is told what to do.', async () => {
  const stranger = newRootKey()
  await expect(open({ roots: [stranger] })).rejects.toThrow(
    new RegExp(
      `^The provider keys of this database are sealed under root key ${root.name} since [-0-9T:.Z]+; the one given here is ` +
        `${stranger.name}\\. Give that one in TOLLGATE_ROOT_KEY\\. If it is lost, so are the keys: `,
    ),
  )
  await expect(open({ roots: [stranger, root] })).resolves.toBeDefined()
})

describe('the audit log', () => {
  let first = 0n
  beforeEach(async () => {
    first = BigInt((await listAuditEntries(db.database, { limit: 1 }))[0]?.id ?? 0)
  })
  /** Of this test. */
  const entries = async () =>
    (await listAuditEntries(db.database, { limit: 100 }))
      .filter(({ id }) => BigInt(id) > first)
      .map(({ action, subject, actor, ip, request_id }) => [action, subject, actor, ip, request_id].join(' '))
      .reverse()

  test('The audit log has every change, by whom and from where, and no value.', async () => {
    const acme = (await organization()) as { kind: 'organization'; id: string }
    await vault.save('openai', acme, KEY, change)
    await vault.save('openai', acme, NEXT, { actor: 'eve\0\ud800', ip: null, requestId: null })
    await vault.setEnabled('openai', acme, false, change)
    await vault.setEnabled('openai', acme, false, change)
    await vault.setEnabled('openai', acme, true, change)
    await vault.remove('openai', acme, change)
    await vault.remove('openai', acme, change)
    const subject = `organization/${acme.id}/openai`
    expect(await entries()).toEqual([
      `key.saved ${subject} root@example.com 192.0.2.7 req-1`,
      `key.saved ${subject} eve \ufffd  `,
      `key.disabled ${subject} root@example.com 192.0.2.7 req-1`,
      `key.enabled ${subject} root@example.com 192.0.2.7 req-1`,
      `key.removed ${subject} root@example.com 192.0.2.7 req-1`,
    ])
    const { rows } = await db.pool.query(
      'select string_agg(row_to_json(a)::text, $1) as text from tollgate.audit_log a',
      ['\n'],
    )
    expect(rows[0].text).not.toMatch(/FIRST|SECOND|tollgate:[0-9a-f]/)
  })

  test('The audit log has what psql did too.', async () => {
    await db.pool.query(
      "insert into platform_settings (key, value, category) values ('x_api_key', 'v', 'api_keys'), ('theme', 'dark', 'ui')",
    )
    await db.pool.query("update platform_settings set key = 'y_api_key' where key = 'x_api_key'")
    await db.pool.query("update platform_settings set value = 'light' where key = 'theme'")
    await db.pool.query("delete from platform_settings where key = 'y_api_key'")
    const { rows } = await db.pool.query('select session_user as name')
    const who = `sql:${rows[0].name} local `
    expect(await entries()).toEqual([
      `key.saved platform/x_api_key ${who}`,
      `key.removed platform/x_api_key ${who}`,
      `key.saved platform/y_api_key ${who}`,
      `key.removed platform/y_api_key ${who}`,
    ])
  })

  test('The audit log stands and falls with the change.', async () => {
    const nobody: KeyOwner = { kind: 'organization', id: '00000000-0000-4000-8000-000000000000' }
    await expect(vault.save('openai', nobody, KEY, change)).rejects.toThrow('There is no such organization.')
    expect(await entries()).toEqual([])
  })

  test.each([
    "update tollgate.audit_log set actor = 'nobody'",
    'delete from tollgate.audit_log',
    'truncate tollgate.audit_log',
  ])('The audit log refuses a query: %s.', async (statement) => {
    await expect(db.pool.query(statement)).rejects.toThrow('audit_log is append-only')
  })

  test('The audit log is read page by page, newest first.', async () => {
    for (let n = 0; n < 3; n++) await vault.save('openai', platform, `${KEY}${n}`, { ...change, requestId: `${n}` })
    const [newest] = await listAuditEntries(db.database, { limit: 1 })
    const rest = await listAuditEntries(db.database, {
      limit: 2,
      before: newest!.id,
      subject: 'platform/openai_api_key',
    })
    expect([newest!.request_id, ...rest.map((entry) => entry.request_id)]).toEqual(['2', '1', '0'])
  })
})
