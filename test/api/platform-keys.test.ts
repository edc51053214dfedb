/** The routes of the platform's keys, as Ops-Center's callers use them: shapes, texts, roles, formats, and that no answer holds a key. */
import { expect, test } from 'vitest'
import { expectRefusal } from '../support/error-shape.ts'
import { MASTER_KEY } from '../support/tollgate.ts'
import { goodKey, SEVEN_NAMES, useKeysProduct } from './keys-product.ts'

const ENVIRONMENT_KEY = 'gsk_environment-0123456789'
const product = useKeysProduct(() => ({}), { GROQ_API_KEY: ENVIRONMENT_KEY, PROVISIONING_KEY: 'short-key' })

const ROUTE = '/api/v1/admin/platform-keys'
const LABELS: Readonly<Record<string, [label: string, format: string]>> = {
  openrouter: ['OpenRouter', 'sk-or-v1-...'],
  openai: ['OpenAI', 'sk-proj-...'],
  anthropic: ['Anthropic', 'sk-ant-...'],
  huggingface: ['HuggingFace', 'hf_...'],
  groq: ['Groq', 'gsk_...'],
  xai: ['X.AI', 'xai-...'],
  google: ['Google AI', 'AIza...'],
}
const labelOf = (name: string) => LABELS[name] ?? ['', '']

interface Listed {
  key_name: string
  provider: string
  has_key: boolean
  key_preview: string | null
  last_updated: string | null
  source: string
  updated_by: string | null
}

async function list(): Promise<Listed[]> {
  const answer = await product.send('GET', ROUTE)
  expect(answer.status).toBe(200)
  const { keys, total } = answer.json() as { keys: Listed[]; total: number }
  expect(total).toBe(keys.length)
  return keys
}

async function listed(name: string): Promise<Listed | undefined> {
  return (await list()).find(({ provider }) => provider === name)
}

test('The list has nine keys: those of the seven providers, the provisioning key and the master key.', async () => {
  const keys = await list()
  expect(keys.map(({ key_name }) => key_name)).toEqual([
    'OpenRouter API Key',
    'OpenAI API Key',
    'Anthropic API Key',
    'HuggingFace API Key',
    'Groq API Key',
    'X.AI API Key',
    'Google AI API Key',
    'Provisioning Key',
    'LiteLLM Master Key',
  ])
  expect(keys.find(({ provider }) => provider === 'openai')).toMatchObject({
    has_key: false,
    key_preview: null,
    last_updated: null,
    source: 'not_set',
  })
  expect(keys.find(({ provider }) => provider === 'groq')).toMatchObject({
    has_key: true,
    key_preview: 'gsk_env...6789',
    source: 'environment',
  })
  expect(keys.find(({ provider }) => provider === 'provisioning')).toMatchObject({ key_preview: '***' })
  expect(keys.at(-1)).toMatchObject({ has_key: true, key_preview: '***', source: 'environment' })
})

test.each(SEVEN_NAMES)('The key of %s is stored, shown masked and deleted.', async (name) => {
  const [label] = labelOf(name)
  const apiKey = goodKey(name)
  const mask = `${apiKey.slice(0, 7)}...${apiKey.slice(-4)}`
  const saved = await product.send('PUT', `${ROUTE}/${name}`, { api_key: ` ${apiKey}\n` })
  expect([saved.status, saved.json()]).toEqual([
    200,
    {
      success: true,
      message: `${label} API key updated successfully`,
      key_preview: mask,
      ...(name === 'openrouter' ? { next_steps: expect.arrayContaining([expect.any(String)]) } : {}),
    },
  ])
  expect(await listed(name)).toMatchObject({
    has_key: true,
    key_preview: mask,
    last_updated: expect.stringMatching(/^\d{4}-.*Z$/),
    source: 'database',
    updated_by: 'admin',
  })
  const environment = name === 'groq' ? 'environment' : 'not_set'
  const deleted = await product.send('DELETE', `${ROUTE}/${name}`)
  expect(deleted.json()).toEqual({
    success: true,
    message: `${label} API key deleted successfully`,
    source: environment,
  })
  expect(await listed(name)).toMatchObject({ source: environment, updated_by: null })
  const again = await product.send('DELETE', `${ROUTE}/${name}`)
  expect([again.status, again.json().detail]).toEqual([404, `${label} API key not configured`])
})

test.each(SEVEN_NAMES)(
  'The platform refuses for %s what another provider’s key looks like, with the documented text.',
  async (name) => {
    const [label, format] = labelOf(name)
    const others = SEVEN_NAMES.filter((other) => other !== name).map(goodKey)
    for (const wrong of [...others, 'not-a-key-at-all', `x${goodKey(name)}`, goodKey(name).toUpperCase()]) {
      const answer = await product.send('PUT', `${ROUTE}/${name}`, { api_key: wrong })
      expect([answer.status, answer.json().detail]).toEqual([
        400,
        `Invalid ${label} API key format. Expected format: ${format}`,
      ])
      expect(answer.body).not.toContain(wrong)
    }
    expect((await listed(name))?.source).not.toBe('database')
  },
)

test.each([[undefined], [{}], [{ api_key: '' }], [{ api_key: 'sk-short' }], [{ api_key: 7 }], [{ api_key: null }]])(
  '%j is no key, and gets 422.',
  async (body) => {
    expectRefusal(await product.send('PUT', `${ROUTE}/openai`, body), {
      status: 422,
      code: 'invalid_request',
      param: 'api_key',
    })
  },
)

test('A body that is not JSON is refused without being quoted.', async () => {
  const answer = await product.send('PUT', `${ROUTE}/openai`, `{"api_key": ${goodKey('openai')}`)
  expectRefusal(answer, { status: 400, code: 'invalid_json', param: 'request_body' })
  expect(answer.body).not.toContain('sk-proj')
})

test('A body that says it is something else is refused.', async () => {
  const answer = await fetch(`${product.tollgate.url}${ROUTE}/openai`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${MASTER_KEY}`, 'content-type': 'text/plain' },
    body: JSON.stringify({ api_key: goodKey('openai') }),
  })
  expect([answer.status, await answer.json()]).toMatchObject([415, { error: { code: 'unsupported_media_type' } }])
  expect(await listed('openai')).toMatchObject({ source: 'not_set' })
})

test('A body of more than 64 KiB is refused with that number.', async () => {
  const answer = await product.send('PUT', `${ROUTE}/openai`, { api_key: 'x'.repeat(65_537) })
  expectRefusal(answer, { status: 413, code: 'request_too_large' })
  expect(answer.json().detail).toBe('The request body is larger than 64 KiB. Send less.')
})

test('A key with characters that no header can carry is refused.', async () => {
  const answer = await product.send('PUT', `${ROUTE}/openai`, { api_key: `${goodKey('openai')} and more` })
  expectRefusal(answer, { status: 400, code: 'invalid_provider_key', param: 'api_key' })
})

test('The provisioning key has no format.', async () => {
  const answer = await product.send('PUT', `${ROUTE}/provisioning`, { api_key: 'mu-prov-0123456789' })
  expect(answer.json()).toMatchObject({ success: true, key_preview: 'mu-prov...6789' })
  expect(await listed('provisioning')).toMatchObject({ source: 'database' })
  expectRefusal(await product.send('POST', `${ROUTE}/provisioning/test`), { status: 400, code: 'not_testable' })
})

test('A key that does not exist is refused with 404.', async () => {
  for (const method of ['PUT', 'DELETE']) {
    const answer = await product.send(
      method,
      `${ROUTE}/cohere`,
      method === 'PUT' ? { api_key: 'sk-0123456789' } : undefined,
    )
    expectRefusal(answer, { status: 404, code: 'key_type_not_found' })
  }
})

test.each([...SEVEN_NAMES, 'provisioning'])(
  'The key of %s can’t be read in plain text, and the route says so with 410.',
  async (name) => {
    if (name !== 'provisioning') await product.send('PUT', `${ROUTE}/${name}`, { api_key: goodKey(name) })
    const answer = await product.send('GET', `${ROUTE}/${name}/decrypted`)
    expectRefusal(answer, { status: 410, code: 'keys_are_not_shown' })
  },
)

const EVERY_ROUTE: [string, string][] = [
  ['GET', ROUTE],
  ['PUT', `${ROUTE}/openai`],
  ['DELETE', `${ROUTE}/openai`],
  ['POST', `${ROUTE}/openai/test`],
  ['GET', `${ROUTE}/openai/decrypted`],
  ['GET', '/api/v1/admin/audit-log'],
]

test.each(EVERY_ROUTE)('Only system administrators may call %s %s.', async (method, path) => {
  const { keys } = await product.db.seedOrganization({ credits: 0, users: { owner: 0, member: 0 } })
  expectRefusal(await product.send(method, path, undefined, null), { status: 401, code: 'missing_api_key' })
  expectRefusal(await product.send(method, path, undefined, `${MASTER_KEY}0`), { status: 401, code: 'invalid_api_key' })
  for (const [key, role] of [
    [keys.owner, 'owner'],
    [keys.member, 'member'],
  ] as const) {
    // Whatever is sent: who asks comes first.
    const answer = await product.send(method, path, method === 'PUT' ? '{' : undefined, key)
    expect([answer.status, answer.json().detail]).toEqual([403, `Admin access required (current role: ${role})`])
  }
})
