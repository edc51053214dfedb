/** What browsers of other sites may do, and what every browser is told, on the running product. */
import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { PROVIDERS } from '../../providers/registry.ts'
import { formatProblem, loadConfig } from '../../src/config/load.ts'
import { createCors } from '../../src/http/cors.ts'
import { goodKey } from '../api/keys-product.ts'
import { useProduct } from '../support/product.ts'
import { MASTER_KEY, postChat } from '../support/tollgate.ts'

const APP = 'https://app.example.com'
const STRANGER = 'https://evil.example'

const product = useProduct(() => ({
  tollgate: {
    cors: { origins: [APP, 'https://*.acme.test', 'http://localhost:*'] },
    trusted_proxies: ['127.0.0.1'],
    public_url: 'https://gate.example.com',
  },
}))

function preflight(origin: string, path = '/v1/chat/completions'): Promise<Response> {
  return fetch(`${product.tollgate.url}${path}`, {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,content-type,x-stainless-os',
    },
  })
}

describe('a preflight', () => {
  test.each([['/v1/chat/completions'], ['/api/v1/llm/byok/keys'], ['/api/v1/admin/platform-keys'], ['/no/such/route']])(
    'A preflight passes without a credential for a listed origin: %s.',
    async (path) => {
      const answer = await preflight(APP, path)
      expect(answer.status).toBe(204)
      expect(await answer.text()).toBe('')
      const { headers } = answer
      expect(headers.get('access-control-allow-origin')).toBe(APP)
      expect(headers.get('access-control-allow-credentials')).toBe('true')
      expect(headers.get('access-control-allow-methods')).toBe('GET, POST, PUT, PATCH, DELETE, OPTIONS')
      expect(headers.get('access-control-allow-headers')).toBe('authorization,content-type,x-stainless-os')
      expect(headers.get('access-control-max-age')).toBe('600')
      expect(headers.get('vary')).toBe('Origin')
      expect(headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/)
    },
  )

  test.each([STRANGER, 'null', `${APP}.evil.example`, 'http://app.example.com'])(
    'A preflight is refused for an origin that is not listed: %s.',
    async (origin) => {
      const answer = await preflight(origin)
      expect(answer.status).toBe(400)
      expect(answer.headers.get('access-control-allow-origin')).toBeNull()
      expect(answer.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/)
      const { error, detail } = (await answer.json()) as { error: { code: string }; detail: string }
      expect(error.code).toBe('origin_not_allowed')
      expect(detail).toMatch(/^Disallowed CORS origin/)
    },
  )
})

describe('a call from a page', () => {
  const body = { model: 'exact', max_tokens: 10, messages: [{ role: 'user', content: 'Hi' }] }

  test.each([{ stream: false }, { stream: true }])(
    'A call from a page of a listed origin can read what it cost, also where it streams: %j.',
    async (how) => {
      const { keys } = await product.db.seedOrganization({ credits: 100, users: { alice: 100 } })
      const answer = await postChat(product.tollgate, keys.alice, { ...body, ...how }, { headers: { origin: APP } })
      expect(answer.status).toBe(200)
      expect(answer.headers.get('access-control-allow-origin')).toBe(APP)
      expect(answer.headers.get('access-control-allow-credentials')).toBe('true')
      const exposed = answer.headers.get('access-control-expose-headers')?.split(', ') ?? []
      expect(exposed).toEqual(expect.arrayContaining(['X-Cost-Incurred', 'X-Credits-Remaining', 'X-Request-ID']))
      // Every header of our own that a page may want is among them.
      const own = [...answer.headers.keys()].filter((name) => /^x-(?!content-type-options|accel-buffering)/.test(name))
      const shown = exposed.map((name) => name.toLowerCase())
      expect(own.filter((name) => !shown.includes(name))).toEqual([])
      expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
    },
  )

  test('A call from a page of another origin is served, and the page can not read it.', async () => {
    const { keys } = await product.db.seedOrganization({ credits: 100, users: { alice: 100 } })
    const answer = await postChat(product.tollgate, keys.alice, body, { headers: { origin: STRANGER } })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('access-control-allow-origin')).toBeNull()
    expect(answer.headers.get('vary')).toBe('Origin')
  })

  test('A call from a page that is refused can read why.', async () => {
    const answer = await postChat(product.tollgate, null, body, { headers: { origin: APP } })
    expect(answer.status).toBe(401)
    expect(answer.headers.get('access-control-allow-origin')).toBe(APP)
  })
})

describe('every response', () => {
  test.each(['/docs', '/openapi.json', '/health/liveness', '/v1/models', '/no/such/route'])(
    'Every response tells browsers not to guess, not to frame, and to name no address: %s.',
    async (path) => {
      const { headers } = await fetch(`${product.tollgate.url}${path}`)
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('content-security-policy')).toContain("frame-ancestors 'none'")
      expect(headers.get('referrer-policy')).toBe('no-referrer')
      expect(headers.get('strict-transport-security')).toBeNull()
    },
  )

  test('Every response asks for TLS from now on where a trusted proxy says that it came over TLS.', async () => {
    const { headers } = await fetch(`${product.tollgate.url}/health/liveness`, {
      headers: { 'x-forwarded-proto': 'https' },
    })
    expect(headers.get('strict-transport-security')).toBe('max-age=31536000')
  })
})

describe('behind a trusted proxy', () => {
  const from = (address: string) => ({ 'x-forwarded-for': address })

  test('The audit log names the caller, not the proxy.', async () => {
    const put = await fetch(`${product.tollgate.url}/api/v1/admin/platform-keys/groq`, {
      method: 'PUT',
      headers: {
        authorization: `Bearer ${MASTER_KEY}`,
        'content-type': 'application/json',
        ...from('1.2.3.4, 203.0.113.8'),
      },
      body: JSON.stringify({ api_key: goodKey('groq') }),
    })
    expect([put.status, await put.text()]).toEqual([200, expect.any(String)])
    const { rows } = await product.db.pool.query('select ip from tollgate.audit_log order by id desc limit 1')
    expect(rows).toEqual([{ ip: '203.0.113.8' }])
  })

  test('Keys that nobody has are counted for the caller, not for the proxy.', async () => {
    const guess = async (address: string) => {
      const key = `uc_${randomBytes(32).toString('hex')}`
      const answer = await postChat(product.tollgate, key, {}, { headers: from(address) })
      return answer.status
    }
    const statuses: number[] = []
    for (let tried = 0; tried < 32; tried += 1) statuses.push(await guess('203.0.113.9'))
    expect(statuses).toContain(429)
    expect(await guess('203.0.113.10')).toBe(401)
  })
})

describe('the list of origins', () => {
  test.each([
    ['https://*.example.com', 'https://a.example.com', true],
    ['https://*.example.com', 'https://a.b.example.com', true],
    ['https://*.example.com', 'https://example.com', false],
    ['https://*.example.com', 'https://a.example.com:8443', false],
    ['https://*.example.com', 'https://evil.com/.example.com', false],
    ['https://*.example.com', 'https://aexample.com', false],
    ['https://app.example.com', 'https://appxexample.com', false],
    ['https://app.example.com', 'HTTPS://APP.example.com', true],
    ['http://localhost:*', 'http://localhost:5173', true],
    ['http://localhost:*', 'http://localhost', false],
    ['http://localhost:*', 'http://localhost:80.evil.example', false],
    ['http://[::1]:3000', 'http://[::1]:3000', true],
    ['*', 'https://app.example.com', false],
  ])('%s lists %s: %s.', (entry, origin, expected) => {
    expect(createCors([entry]).isListed(origin)).toBe(expected)
  })

  test('The list of origins with "*" lets every page call, without cookies.', () => {
    const set = new Map<string, string>()
    const outgoing = { setHeader: (name: string, value: string) => void set.set(name, value) }
    createCors(['*', APP]).open({ headers: { origin: STRANGER } } as never, outgoing as never)
    expect(set.get('Access-Control-Allow-Origin')).toBe('*')
    expect(set.has('Access-Control-Allow-Credentials')).toBe(false)
  })
})

test.each([
  [{ cors: { origins: ['app.example.com'] } }, 'tollgate.cors.origins[0]: not an origin'],
  [{ cors: { origins: ['https://*'] } }, 'tollgate.cors.origins[0]: not an origin'],
  [{ cors: { origins: ['https://a.*.com'] } }, 'tollgate.cors.origins[0]: not an origin'],
  [{ trusted_proxies: ['proxy'] }, 'tollgate.trusted_proxies[0]: not an address'],
  [{ public_url: 'https://gate.example.com/base' }, 'tollgate.public_url: not the address of a server'],
])('The configuration %j stops the start.', (tollgate, expected) => {
  const text = JSON.stringify({ model_list: [], tollgate })
  const { config, problems } = loadConfig(text, 'config.yaml', {}, { embedded: true, providers: PROVIDERS })
  expect(config).toBeNull()
  expect(problems.map(formatProblem).join('\n')).toContain(expected)
})
