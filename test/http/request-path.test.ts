/** One form of a path, whoever spells it how: what routes match is what every check sees. */
import { readdir, readFile } from 'node:fs/promises'
import { request } from 'node:http'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { requestPath } from '../../src/http/request-path.ts'
import { useProduct } from '../support/product.ts'
import { MASTER_KEY } from '../support/tollgate.ts'
import { chat } from '../support/upstream-answers.ts'

const product = useProduct()

test.each([
  ['/v1/chat/completions', '/v1/chat/completions'],
  ['/v1/%63hat/completions', '/v1/chat/completions'],
  ['/v1/%63%68%61%74/%63ompletions', '/v1/chat/completions'],
  ['//v1//chat///completions', '/v1/chat/completions'],
  ['/v1/chat/completions/', '/v1/chat/completions'],
  ['/v1/./chat/completions/.', '/v1/chat/completions'],
  ['/x/../v1/chat/completions', '/v1/chat/completions'],
  ['/x/%2e%2e/v1/chat/completions', '/v1/chat/completions'],
  ['/x/%2E./v1/%2e/chat/completions', '/v1/chat/completions'],
  ['/../../v1/chat/completions', '/v1/chat/completions'],
  ['/v1/chat/completions?path=/metrics', '/v1/chat/completions'],
  ['/v1/chat/completions#x', '/v1/chat/completions'],
  ['http://elsewhere/v1/chat/completions', '/v1/chat/completions'],
  ['HTTPS://elsewhere:1/v1/chat/completions?x', '/v1/chat/completions'],
  ['http://elsewhere', '/'],
  ['/', '/'],
  ['', '/'],
  ['*', '/*'],
  ['/v1/models/openai/gpt-4o', '/v1/models/openai/gpt-4o'],
  // A slash that is part of a name stays one, in either case.
  ['/v1/models/openai%2fgpt-4o', '/v1/models/openai%2Fgpt-4o'],
  ['/v1%2Fchat%2Fcompletions', '/v1%2Fchat%2Fcompletions'],
  ['/v1/models/a%2F..%2Fb', '/v1/models/a%2F..%2Fb'],
  // Decoded once.
  ['/v1/%2563hat/completions', '/v1/%2563hat/completions'],
  ['/%252e%252e/metrics', '/%252e%252e/metrics'],
  ['/v1/models/a:b', '/v1/models/a%3Ab'],
  ['/v1/models/a%3ab', '/v1/models/a%3Ab'],
  ['/v1/models/%C3%A9', '/v1/models/%C3%A9'],
  ['/v1/models/%c3%a9', '/v1/models/%C3%A9'],
  ['/v1/models/\u00c3\u00a9', '/v1/models/%C3%A9'],
  // What can't be decoded is text.
  ['/v1/models/50%', '/v1/models/50%25'],
  ['/v1/models/%zz', '/v1/models/%25zz'],
  ['/v1/models/%c0%af', '/v1/models/%25c0%25af'],
  ['/v1/chat\\completions', '/v1/chat%5Ccompletions'],
  ['/v1/models/%00', '/v1/models/%00'],
])('The path %s is read as %s.', (target, path) => {
  expect(requestPath(target)).toBe(path)
})

test('Whatever is sent as a path, its normal form is its own normal form.', () => {
  const piece = fc.constantFrom(
    '/',
    '.',
    '..',
    '%',
    '%2e',
    '%2F',
    '%5c',
    '%25',
    'a',
    'B',
    '\\',
    '?',
    '#',
    ';',
    ' ',
    '\u00e9',
    '%ff',
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
      const path = requestPath(pieces.join(''))
      expect(path).toMatch(/^\/(?:[\w.~!'()*%-]+(?:\/[\w.~!'()*%-]+)*)?$/)
      expect(path.split('/')).not.toContain('..')
      expect(path.split('/')).not.toContain('.')
      // What could not be decoded became text, whose form decodes to the same.
      expect(requestPath(path)).toBe(path)
    }),
    { numRuns: 2_000 },
  )
})

/** As written: fetch would tidy the path first. */
function ask(
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body = '',
): Promise<{ status: number; body: string }> {
  const { hostname, port } = new URL(product.tollgate.url)
  return new Promise((resolve, reject) => {
    const asked = request({ hostname, port, method, path, headers }, async (answer) => {
      let text = ''
      for await (const part of answer.setEncoding('utf8')) text += part
      resolve({ status: answer.statusCode ?? 0, body: text })
    })
    asked.on('error', reject)
    asked.end(body)
  })
}

test('Every spelling of a route is served as that route, and asks for the same rights.', async () => {
  const { keys } = await product.db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const bearer = (key: string) => ({ authorization: `Bearer ${key}` })
  const body = JSON.stringify({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hello' }] })
  product.upstream.respond(chat())
  for (const path of [
    '//v1//chat/completions/',
    '/v1/%63hat/completions',
    '/a/%2e%2e/chat/completions',
    '/v1/chat/completions/',
  ])
    expect((await ask('POST', path, bearer(keys.alice), body)).status, path).toBe(200)
  for (const path of ['//v1/chat/completions', '/v1/%63hat/completions/'])
    expect((await ask('POST', path, {}, body)).status, path).toBe(401)
  for (const path of ['/v1/models/gpt-4o-mini', '/v1/models/gpt%2D4o-mini', '//v1/models//gpt-4o-mini/'])
    expect(await ask('GET', path, bearer(keys.alice)), path).toMatchObject({
      status: 200,
      body: expect.stringContaining('"id":"gpt-4o-mini"'),
    })

  const admin = '/api/v1/admin/platform-keys'
  for (const path of [
    admin,
    `/${admin}/`,
    '/api/v1/%61dmin/platform-keys',
    '/api/v1/llm/../admin/platform-keys',
    '/api/v1/llm/%2e%2e/admin//platform-keys',
  ]) {
    expect((await ask('GET', path, bearer(MASTER_KEY))).status, path).toBe(200)
    expect((await ask('GET', path, bearer(keys.alice))).status, path).toBe(403)
    expect((await ask('GET', path)).status, path).toBe(401)
  }
  for (const path of ['/metrics', '//metrics/', '/%6detrics', '/v1/../metrics'])
    expect((await ask('GET', path, { 'x-forwarded-for': '10.0.0.1' })).status, path).toBe(401)
})

test('No path makes the server fail.', async () => {
  const names = [
    '%00',
    '%',
    '%zz',
    '%c0%af',
    '%ed%a0%80',
    '%2F%2F',
    '..%2F..',
    'a'.repeat(8_000),
    '%F0%9F%98%80',
    "'--",
    '%0d%0ax:y',
  ]
  for (const name of names) {
    for (const [method, path] of [
      ['GET', `/v1/models/${name}`],
      ['GET', `/v1/calls/${name}`],
      ['PUT', `/api/v1/admin/platform-keys/${name}`],
      ['DELETE', `/api/v1/admin/platform-keys/${name}`],
      ['DELETE', `/api/v1/llm/byok/keys/${name}`],
      ['GET', `/api/v1/llm/byok/keys/${name}/usage`],
      ['GET', `/api/v1/admin/audit-log?subject=${name}&before=${name}`],
      ['GET', `/${name}`],
    ] as const) {
      const { status } = await ask(method, path, { authorization: `Bearer ${MASTER_KEY}` }, '{}')
      expect(status, `${method} ${path.slice(0, 80)}`).toBeLessThan(500)
    }
  }
})

test('No other place reads the path of a request.', async () => {
  const source = fileURLToPath(new URL('../../src/', import.meta.url))
  const files = (await readdir(source, { recursive: true })).filter((file) => file.endsWith('.ts'))
  const found: string[] = []
  for (const file of files) {
    const text = await readFile(source + file, 'utf8')
    if (/\b(?:incoming|request|req|raw)\??\.(?:url|originalUrl)\b|\bgetPath\b/.test(text)) found.push(file)
  }
  // The router's one function, the restriction of keys to routes and whoever finds a model in it ask requestPath; requestQuery reads the
  // query alone.
  const places = ['app.ts', 'endpoints/generate-content/serve-generate.ts', 'identity/identify.ts']
  expect(new Set(found)).toEqual(new Set(places))
})
