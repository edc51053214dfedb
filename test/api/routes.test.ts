/** The description of the routes and the routes: neither has one the other lacks, and the description is sound. */
import { describe, expect, test } from 'vitest'
import { appRoutes } from '../support/app-routes.ts'
import { expectRefusal } from '../support/error-shape.ts'
import { send, useKeysProduct } from './keys-product.ts'

const product = useKeysProduct()

interface Operation {
  operationId: string
  tags: string[]
  summary: string
  security?: unknown[]
  parameters?: { name: string; in: string; required?: boolean }[]
  responses: Record<string, { description: string }>
}

interface Document {
  openapi: string
  paths: Record<string, Record<string, Operation>>
  tags: { name: string }[]
  components: { securitySchemes: Record<string, object> }
}

interface Listed extends Operation {
  method: string
  path: string
}

async function read(): Promise<{ document: Document; operations: Listed[] }> {
  const document = (await product.send('GET', '/openapi.json', undefined, null)).json() as unknown as Document
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ ...operation, method: method.toUpperCase(), path })),
  )
  return { document, operations }
}

const nameOf = ({ method, path }: { method: string; path: string }) => `${method} ${path}`
const example = (path: string) => path.replaceAll(/\{\w+\}/g, 'example')

test('Every route of the app is described, and every route that is described is one of the app.', async () => {
  const { operations } = await read()
  const routes = appRoutes().map(nameOf)
  expect(routes.length).toBeGreaterThan(20)
  expect(operations).toHaveLength(routes.length)
  expect(new Set(operations.map(nameOf))).toEqual(new Set(routes))
})

test('A route that asks for a credential lists every place where one may be, and each is described.', async () => {
  const { document, operations } = await read()
  const places = [
    'bearer',
    'x-service-key',
    'x-api-key',
    'api-key',
    'x-goog-api-key',
    'ocp-apim-subscription-key',
    'x-litellm-api-key',
    'session',
  ]
  const { securitySchemes } = document.components
  expect(Object.keys(securitySchemes)).toEqual(places)
  expect(securitySchemes).toMatchObject({
    bearer: { type: 'http', scheme: 'bearer' },
    'x-service-key': { type: 'apiKey', in: 'header', name: 'x-service-key' },
    session: { type: 'apiKey', in: 'cookie', name: 'session_token' },
  })
  const closed = operations.filter(({ security }) => security !== undefined)
  expect(closed.length).toBeGreaterThan(20)
  for (const operation of closed)
    expect(operation.security, nameOf(operation)).toEqual(places.map((name) => ({ [name]: [] })))
})

test('Every route that is described responds, and asks for a credential exactly where it says so.', async () => {
  const { operations } = await read()
  for (const operation of operations) {
    const path = example(operation.path)
    const name = nameOf(operation)
    const stranger = await product.send(operation.method, path, undefined, null)
    expect(stranger.status === 401, name).toBe(operation.security !== undefined)
    // A stream of events has no end; test/web/keys-and-events.test.ts reads it.
    if (operation.path === '/api/v1/events') continue
    const known = await product.send(operation.method, path)
    expect(known.status, name).not.toBe(405)
    expect(known.body, name).not.toContain('is not a route here')
    expect(Object.keys(operation.responses), `${name} returned ${known.status}`).toContain(String(known.status))
  }
})

test('The description refers to nothing it lacks, and names each operation and its parameters once.', async () => {
  const { document, operations } = await read()
  expect(document.openapi).toBe('3.1.0')
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)].map((match) => match[1] ?? '')
  expect(references.length).toBeGreaterThan(50)
  for (const reference of new Set(references)) {
    const target = reference.split('/').reduce<unknown>((at, step) => (at as Record<string, unknown>)[step], document)
    expect(target, reference).toBeTypeOf('object')
  }
  expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length)
  const groups = document.tags.map(({ name }) => name)
  for (const { path, parameters = [], responses, tags, summary, method } of operations) {
    const inPath = parameters.filter((parameter) => parameter.in === 'path')
    const name = `${method} ${path}`
    expect(
      inPath.map((one) => one.name),
      name,
    ).toEqual([...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]))
    expect(
      inPath.every(({ required }) => required),
      name,
    ).toBe(true)
    expect(groups, name).toEqual(expect.arrayContaining(tags))
    expect(summary, name).toMatch(/\S/)
    for (const { description } of Object.values(responses)) expect(description, name).toMatch(/\S/)
  }
})

describe('A request that matches no route', () => {
  test.each([
    ['GET', '/nothing', null],
    ['GET', '/v1/nothing', undefined],
    ['POST', '/api/v1/nothing', undefined],
  ])('%s %s gets a 404 that names it.', async (method, path, key) => {
    const message = expectRefusal(await product.send(method, path, undefined, key), {
      status: 404,
      code: 'route_not_found',
    })
    expect(message).toBe(`${method} ${path} is not a route here. GET /docs lists all there are.`)
  })

  test.each([
    ['GET', '/v1/chat/completions', 'POST'],
    ['DELETE', '/api/v1/llm/byok/keys', 'GET, HEAD, POST'],
    ['POST', '/api/v1/admin/platform-keys/openai', 'PUT, DELETE'],
    ['POST', '/health/liveness', 'GET, HEAD'],
  ])('%s %s gets 405, and Allow is %s.', async (method, path, allow) => {
    const response = await product.send(method, path)
    const message = expectRefusal(response, { status: 405, code: 'method_not_allowed' })
    expect(message).toBe(`${method} ${path} is not a route here. This path takes ${allow}.`)
    expect(response.headers.get('allow')).toBe(allow)
  })

  test.each(['/v1/nothing', '/api/v1/nothing', '/v1/chat/completions'])(
    'GET %s without a credential gets 401, so that a stranger does not learn which routes exist.',
    async (path) => {
      const response = await product.send('GET', path, undefined, null)
      expectRefusal(response, { status: 401, code: 'missing_api_key' })
    },
  )
})

test.each([
  ['POST', '/v1/batches', 'Batches'],
  ['GET', '/batches/batch_1', 'Batches'],
  ['POST', '/v1/messages/batches', 'Batches'],
  ['POST', '/v1/files', 'Stored files'],
  ['GET', '/v1/realtime?model=x', 'Realtime sessions'],
  ['POST', '/v1/fine_tuning/jobs', 'Fine-tuning'],
  ['POST', '/v1/assistants', 'Assistants'],
  ['POST', '/v1/threads/t/runs', 'Threads'],
  ['POST', '/v1/vector_stores', 'Vector stores'],
  ['POST', '/v1/rerank', 'Rerankings'],
  ['POST', '/v2/rerank', 'Rerankings'],
  ['POST', '/rerank', 'Rerankings'],
  ['POST', '/v1/images/variations', 'Variations of images'],
  ['POST', '/anthropic/v1/messages', 'Nothing is passed through'],
])('%s %s answers 501, says what to do instead, and a stranger gets 401.', async (method, path, what) => {
  const response = await product.send(method, path, method === 'POST' ? {} : undefined)
  const message = expectRefusal(response, { status: 501, code: 'not_served' })
  expect(message.startsWith(what)).toBe(true)
  expect(message).toMatch(/\. [A-Z"P].+\.$/)
  expect(response.headers.get('x-should-retry')).toBe('false')
  expectRefusal(await product.send(method, path, undefined, null), { status: 401, code: 'missing_api_key' })
})

test.each([
  ['//v1//models/', 200],
  ['/v1/%6dodels', 200],
  ['/health/../health/liveness/', 200],
])('%s is served as the route that it spells.', async (path, status) => {
  expect((await product.send('GET', path)).status).toBe(status)
})

test.each(['/', '/docs', '/health/liveness', '/openapi.json', '/favicon.ico'])(
  'HEAD %s has the headers of GET and no body.',
  async (path) => {
    const [head, get] = [await send(product.tollgate, 'HEAD', path), await send(product.tollgate, 'GET', path)]
    expect([head.status, head.body, head.headers.get('content-type')]).toEqual([
      200,
      '',
      get.headers.get('content-type'),
    ])
    expect(get.body.length).toBeGreaterThan(10)
  },
)

describe('A request that does not fit a schema', () => {
  const admin = '/api/v1/admin/platform-keys/openai'
  const own = '/api/v1/llm/byok/keys'
  const key = { provider: 'openai', api_key: '0123456789' }
  test.each([
    ['PUT', admin, {}, 'api_key', 'Send the key as "api_key", a string of at least 10 characters.'],
    ['POST', `${admin}/test`, { api_key: 'with a space' }, 'api_key', 'The API key contains invalid characters.'],
    ['POST', own, { api_key: key.api_key }, 'provider', 'Send "provider", the name of a provider.'],
    ['POST', own, { ...key, scope: 'all' }, 'scope', '"scope" must be "user" or "organization".'],
    ['POST', own, { ...key, provider: 'a\0b' }, 'provider', '"provider" must not contain the character U+0000.'],
    ['POST', `${own}/openai/toggle`, { enabled: 'yes' }, 'enabled', 'Send "enabled", true or false.'],
    ['GET', `${own}/openai/usage?days=`, undefined, 'days', '"days" must be a whole number from 1 to 366.'],
    ['GET', `${own}/openai/usage?days=1&days=2`, undefined, 'days', '"days" must be a string.'],
  ])('%s %s with %j gets 422 for %s.', async (method, path, body, param, message) => {
    const response = await product.send(method, path, body)
    expect(expectRefusal(response, { status: 422, code: 'invalid_request', param })).toBe(message)
  })
})
