/** Floods that go for what a request is answered with: documents, sessions, quotes, webhooks, stores and logs. See floods.ts. */
import { CHAT, type Flood, lengthOf, post, randomHex, takeTurns } from './flood-connection.ts'
import { HOSTILE_BODIES } from './hostile-bodies.ts'

const TURNS = 500
const image = JSON.stringify({
  model: 'bench',
  messages: [
    {
      role: 'user',
      content: [{ type: 'image_url', image_url: { url: `data:image/png;base64,${'iVBORw0K'.repeat(112_500)}` } }],
    },
  ],
})
const PACKED = Object.fromEntries(
  HOSTILE_BODIES.filter(({ name }) => name.includes('inflate')).map(({ name, make }) => [name, make(900_000, 'bench')]),
)

/** Of one request after the other, each as a whole text. */
function turns(name: string, connections: number, next: (head: Parameters<Flood['attack']>[1]) => string): Flood {
  return { name, connections, attack: (socket, head) => takeTurns(socket, TURNS, () => next(head)) }
}

const withBody = (head: string, body: string) => head + body
const get = (target: string, headers: string) => `GET ${target} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`

export const FLOODS_OF_SURFACES: readonly Flood[] = [
  ...Object.entries(PACKED).map(
    ([name, body]): Flood => ({ name, connections: 4, attack: (socket, head) => post(socket, head, body) }),
  ),
  { name: 'images of 900 kB', connections: 10, attack: (socket, head) => post(socket, head, Buffer.from(image)) },
  turns('halves of pairs', 50, (head) => {
    const body = '{"model":"\\ud800","messages":[{"role":"user","content":"\\udfff"}]}'
    return withBody(head('POST', CHAT, lengthOf(body.length)), body)
  }),
  turns('session cookies nobody has', 50, () => get('/v1/models', `Cookie: session_token=${randomHex(64)}\r\n`)),
  turns('cookies without end', 50, () =>
    get('/auth/session', `Cookie: ${'a=b; '.repeat(3_000)}session_token=${randomHex(8)}\r\n`),
  ),
  turns('tokens nobody signed', 50, () => {
    const part = (json: object) => Buffer.from(JSON.stringify(json)).toString('base64url')
    const token = `${part({ alg: 'RS256', kid: randomHex(8) })}.${part({ iss: 'x', sub: randomHex(8) })}.${randomHex(340)}`
    return get('/v1/models', `Authorization: Bearer ${token}\r\n`)
  }),
  turns('quotes, over and over', 50, (head) => {
    const body = JSON.stringify({ model: 'bench', messages: [{ role: 'user', content: 'x'.repeat(60_000) }] })
    return withBody(head('POST', '/v1/quotes', lengthOf(body.length)), body)
  }),
  turns(
    'preflights',
    100,
    () =>
      `OPTIONS ${CHAT} HTTP/1.1\r\nHost: x\r\nOrigin: https://${randomHex(8)}.${'a.'.repeat(1_000)}example\r\nAccess-Control-Request-Method: POST\r\n\r\n`,
  ),
  {
    name: 'webhooks of a megabyte',
    connections: 100,
    attack(socket) {
      const signed = `Stripe-Signature: t=1,v1=${randomHex(64)}\r\n${lengthOf(1_000_000)}`
      socket.write(`POST /api/v1/webhooks/stripe HTTP/1.1\r\nHost: x\r\n${signed}\r\n`)
      socket.write(' '.repeat(999_000))
    },
  },
  turns('idempotency keys', 50, (head) => {
    const body = JSON.stringify({ model: 'bench', messages: [{ role: 'user', content: 'Hi' }] })
    const key = `Idempotency-Key: ${randomHex(200)}\r\n`
    return withBody(head('POST', CHAT, `${key}${lengthOf(body.length)}`), body)
  }),
  turns('paths nobody knows', 100, (head) => head('GET', `/v1/${randomHex(6_000)}`)),
  turns('paths in many forms', 100, (head) => head('GET', `/${'%2e%2e/'.repeat(500)}%6detrics`)),
  turns('organizations nobody has', 50, (head) => head('GET', '/v1/models', `X-Org-ID: ${randomHex(32)}\r\n`)),
  turns('calls nobody made', 50, (head) => head('GET', `/v1/calls/0199f0a0-0000-7000-8000-${randomHex(12)}`)),
  turns('reports, over and over', 50, (head) => head('GET', `/api/v1/llm/usage?days=${Date.now() % 365}`)),
  turns('bodies at management routes', 50, (head) => {
    const body = `{"name":${'['.repeat(30)}${'1,'.repeat(9_000)}1${']'.repeat(30)}}`
    return withBody(head('POST', '/api/v1/account/uc-api-keys', lengthOf(body.length)), body)
  }),
]
