/** A key of the platform that is stored while calls run is what the next call uses, everywhere, and nowhere it must not go. */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { PROVIDERS, providerNames } from '../../providers/registry.ts'
import { chooseKeys } from '../../src/call/choose-keys.ts'
import { loadConfig } from '../../src/config/load.ts'
import { rawRoot } from '../../src/vault/root-key.ts'
import { goodKey, keyless, ROOT_KEY, useKeysProduct } from '../api/keys-product.ts'
import { callerFor } from '../support/caller.ts'
import { expectRefusal } from '../support/error-shape.ts'
import { configFor, type ExtraConfig, postChat, startTollgate, type Tollgate } from '../support/tollgate.ts'
import { chat } from '../support/upstream-answers.ts'
import { openTestVault } from '../support/vault.ts'

/** By the name in paths: the name in config.yaml, and a model whose price is known. */
const SEVEN: Readonly<Record<string, { prefix: string; model: string }>> = {
  openrouter: { prefix: 'openrouter', model: 'openai/gpt-4o-mini' },
  openai: { prefix: 'openai', model: 'gpt-4o-mini' },
  anthropic: { prefix: 'anthropic', model: 'claude-sonnet-4-5' },
  huggingface: { prefix: 'huggingface', model: 'openai/gpt-oss-120b:groq' },
  groq: { prefix: 'groq', model: 'llama-3.3-70b-versatile' },
  xai: { prefix: 'xai', model: 'grok-3' },
  google: { prefix: 'gemini', model: 'gemini-2.5-flash' },
}
const LIVE = Object.keys(SEVEN).filter((name) => providerNames().includes(SEVEN[name]?.prefix ?? ''))
const ENV = { OPENAI_API_KEY: 'sk-proj-from-the-environment', GROQ_API_KEY: 'gsk_from-the-environment' }
const HELLO = { max_tokens: 10, messages: [{ role: 'user', content: 'Hello' }] }

function models(url: string): ExtraConfig {
  // Nobody's own host, and no loopback by name; it leads to this machine all the same.
  const foreign = url.replace('127.0.0.1', '0.0.0.0')
  return {
    models: [
      ...LIVE.map((name) => keyless(name, `${SEVEN[name]?.prefix}/${SEVEN[name]?.model}`, url)),
      keyless('written', 'openai/gpt-4o-mini', url, { api_key: 'sk-written-here' }),
      keyless('foreign', 'openai/gpt-4o-mini', foreign),
      { model_name: 'away/*', litellm_params: { model: 'xai/*' } },
    ],
    litellm_settings: { num_retries: 0 },
  }
}

/** A second, as promised, on a machine that is not busy. */
const SOON = { timeout: 10_000, interval: 20 }
const product = useKeysProduct(models, ENV)
let other: Tollgate

beforeAll(async () => {
  const config = configFor(product.upstream.url, models(product.upstream.url))
  other = await startTollgate({
    databaseUrl: product.db.url,
    config,
    env: { TOLLGATE_ROOT_KEY: ROOT_KEY, ...ENV },
  })
})
afterAll(() => other.stop())

async function alice(): Promise<string> {
  const { keys } = await product.db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  return keys.alice
}

/** The key the provider is sent by a call that goes out now; null for none. */
async function keySeen(model: string, key: string, tollgate: Tollgate = product.tollgate): Promise<string | null> {
  const { upstream } = product
  upstream.respond(chat())
  const before = upstream.requests.length
  await postChat(tollgate, key, { model, ...HELLO })
  expect(upstream.requests).toHaveLength(before + 1)
  const { headers } = upstream.requests.at(-1)!
  const sent = headers['x-api-key'] ?? headers['x-goog-api-key'] ?? headers.authorization?.replace('Bearer ', '')
  return typeof sent === 'string' ? sent : null
}

const store = (name: string, apiKey: string) =>
  product.send('PUT', `/api/v1/admin/platform-keys/${name}`, { api_key: apiKey })

test.each(LIVE)('A stored key of %s is what the next call sends, here and on the other instance.', async (name) => {
  const key = await alice()
  expect((await store(name, goodKey(name))).status).toBe(200)
  expect(await keySeen(name, key)).toBe(goodKey(name))
  await vi.waitFor(async () => expect(await keySeen(name, key, other)).toBe(goodKey(name)), SOON)
  const next = `${goodKey(name)}2`
  await store(name, next)
  expect(await keySeen(name, key)).toBe(next)
  await vi.waitFor(async () => expect(await keySeen(name, key, other)).toBe(next), SOON)
})

test.each([
  ['openai', ENV.OPENAI_API_KEY],
  ['groq', ENV.GROQ_API_KEY],
])('The key of %s in the environment is used before one is stored, and after it was deleted.', async (name, own) => {
  const key = await alice()
  expect(await keySeen(name, key)).toBe(own)
  await store(name, goodKey(name))
  expect(await keySeen(name, key)).toBe(goodKey(name))
  const deleted = await product.send('DELETE', `/api/v1/admin/platform-keys/${name}`)
  expect(deleted.json()).toMatchObject({ success: true, source: 'environment' })
  expect(await keySeen(name, key)).toBe(own)
  await vi.waitFor(async () => expect(await keySeen(name, key, other)).toBe(own), SOON)
})

test('Without any key the call is refused by name, before anything is held; with a stored one it goes out.', async () => {
  const { db, upstream, tollgate } = product
  const { id, keys } = await db.seedOrganization({ credits: 10, users: { alice: 5 } })
  const before = upstream.requests.length
  const answer = await postChat(tollgate, keys.alice, { model: 'away/grok-3', ...HELLO })
  expectRefusal(answer, { status: 503, code: 'provider_key_missing' })
  expect(answer.headers.get('x-should-retry')).toBe('false')
  expect(answer.json()).toMatchObject({ detail: expect.stringContaining('XAI_API_KEY') })
  expect(upstream.requests).toHaveLength(before)
  const { rows } = await db.pool.query('select 1 from tollgate.ledger_holds where org_id = $1', [id])
  expect(rows).toEqual([])
})

test('A key that is written for a deployment comes before a stored one.', async () => {
  const key = await alice()
  await store('openai', goodKey('openai'))
  expect(await keySeen('written', key)).toBe('sk-written-here')
})

test('A stored key never goes to a host that is not the provider’s.', async () => {
  const key = await alice()
  await store('openai', goodKey('openai'))
  expect(await keySeen('foreign', key)).toBeNull()
})

describe('a stored key that does not open', () => {
  test('A stored key that does not open is refused by name, and nothing else is.', async () => {
    const { db, tollgate } = product
    const key = await alice()
    await store('groq', goodKey('groq'))
    await store('openai', goodKey('openai'))
    await db.pool.query(
      "update platform_settings set value = (select value from platform_settings where key = 'groq_api_key') where key = 'openai_api_key'",
    )
    await vi.waitFor(async () => {
      const answer = await postChat(tollgate, key, { model: 'openai', ...HELLO })
      expectRefusal(answer, { status: 503, code: 'provider_key_unavailable' })
    }, SOON)
    expect(await keySeen('groq', key)).toBe(goodKey('groq'))
    const { keys } = (await product.send('GET', '/api/v1/admin/platform-keys')).json() as {
      keys: { provider: string; key_preview: string; problem: string | null }[]
    }
    expect(keys.find(({ provider }) => provider === 'openai')).toMatchObject({
      key_preview: '***',
      problem: expect.stringMatching(/./),
    })
  })
})

test.each(['platform', 'byok', 'hybrid'] as const)(
  'On plan %s a key that was read once costs a call nothing.',
  async (plan) => {
    const { db } = product
    const { id, keyIds } = await db.seedOrganization({ plan, credits: 1, users: { alice: 1 } })
    const text = JSON.stringify({ model_list: [keyless('mini', 'openai/gpt-4o-mini', product.upstream.url)] })
    const { config } = loadConfig(text, 'c', {}, { embedded: true, providers: PROVIDERS })
    const deployments = config?.deployments ?? []
    const caller = callerFor({ organizationId: id, userId: 'alice', keyId: keyIds.alice, plan })
    const vault = await openTestVault(db, { roots: [rawRoot(Buffer.from(ROOT_KEY, 'base64'))] })
    try {
      const change = { actor: 'test', ip: null, requestId: null }
      const owner =
        plan === 'platform' ? ({ kind: 'platform' } as const) : ({ kind: 'user', id: `${id}/alice` } as const)
      await vault.save('openai', owner, goodKey('openai'), change)
      // Its own notification of the change may come after the first look.
      await vi.waitFor(async () => {
        await chooseKeys(vault, caller, deployments)
        // No promise: neither the database nor the cipher was asked.
        const keysFor = chooseKeys(vault, caller, deployments)
        if (keysFor instanceof Promise) throw new Error('a key that was read is read again')
        expect(keysFor(deployments[0]!)[0]?.apiKey).toBe(goodKey('openai'))
      })
    } finally {
      await vault.close()
    }
  },
)
