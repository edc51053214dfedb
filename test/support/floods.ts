/**
 * What somebody can do with connections to keep others from being served. Each flood is what one connection does; it is opened again
 * as soon as it is closed, and so many of them are open at a time. Run by `npm run bench -- floods`, which measures what a caller
 * beside it feels, and by a test, which asks that the caller is served.
 */
import {
  CHAT,
  CHUNKED,
  type Flood,
  lengthOf,
  post,
  pour,
  randomHex,
  TRICKLE_MS,
  takeTurns,
  trickle,
} from './flood-connection.ts'
import { FLOODS_OF_SURFACES } from './floods-of-surfaces.ts'

const SPACES = Buffer.alloc(6_500_000, ' ')
const DEEP = Buffer.from(`{"model":"bench","messages":${'['.repeat(500_000)}`)
const ELEMENTS = Buffer.from(`{"model":"bench","messages":[${'0,'.repeat(3_000_000)}0]}`)
const TEXT = Buffer.from(
  JSON.stringify({ model: 'bench', messages: [{ role: 'user', content: '\u200d'.repeat(300_000) }] }),
)

export const FLOODS: readonly Flood[] = [
  {
    name: 'requests sent ahead',
    connections: 100,
    attack: (socket, head) => socket.write(head('GET', '/health/liveness').repeat(1_700)),
  },
  {
    name: 'requests ahead after a body',
    connections: 100,
    attack(socket, head) {
      socket.write(`${head('POST', CHAT, lengthOf(20_000))}${' '.repeat(19_000)}`)
      setImmediate(() => socket.write(' '.repeat(1_000) + head('GET', '/docs').repeat(1_700)))
    },
  },
  {
    name: 'one-byte chunks',
    connections: 20,
    attack(socket, head) {
      socket.write(head('POST', CHAT, CHUNKED))
      pour(socket, '1\r\n \r\n'.repeat(10_000))
    },
  },
  {
    name: 'long chunk extensions',
    connections: 20,
    attack(socket, head) {
      socket.write(head('POST', CHAT, CHUNKED))
      pour(socket, `1;${'x'.repeat(10_000)}\r\n \r\n`)
    },
  },
  {
    name: 'trailers without end',
    connections: 50,
    attack(socket, head) {
      socket.write(`${head('POST', CHAT, CHUNKED)}2\r\n{}\r\n0\r\n`)
      pour(socket, 'a: b\r\n'.repeat(1_000))
    },
  },
  { name: 'bodies of 6.5 MB', connections: 50, attack: (socket, head) => post(socket, head, SPACES) },
  {
    name: 'bodies of 31 MB',
    connections: 100,
    attack(socket, head) {
      socket.write(head('POST', CHAT, lengthOf(31_000_000)))
      pour(socket, SPACES)
    },
  },
  { name: 'JSON that nests', connections: 20, attack: (socket, head) => post(socket, head, DEEP) },
  { name: 'JSON of millions of values', connections: 10, attack: (socket, head) => post(socket, head, ELEMENTS) },
  { name: 'text that is hard to count', connections: 4, attack: (socket, head) => post(socket, head, TEXT) },
  { name: 'silent connections', connections: 900, attack: () => {} },
  {
    name: 'connections that are reset',
    connections: 100,
    attack(socket, head) {
      socket.write(head('GET', '/v1/models'))
      setImmediate(() => socket.resetAndDestroy())
    },
  },
  {
    name: 'slow heads',
    connections: 800,
    attack(socket) {
      socket.write(`POST ${CHAT} HTTP/1.1\r\nHost: x\r\n`)
      trickle(socket, 'x: y\r\n')
    },
  },
  {
    name: 'slow bodies',
    connections: 800,
    attack(socket, head) {
      socket.write(head('POST', CHAT, lengthOf(60_000)))
      trickle(socket, ' ')
    },
  },
  {
    name: 'heads without end',
    connections: 100,
    attack(socket) {
      socket.write('GET / HTTP/1.1\r\nHost: x\r\n')
      pour(socket, 'x: y\r\n'.repeat(10_000))
    },
  },
  {
    name: 'heads of two thousand lines',
    connections: 100,
    attack: (socket, head) => socket.write(head('GET', '/v1/models', 'x: y\r\n'.repeat(2_000))),
  },
  {
    name: 'expect 100-continue and nothing',
    connections: 400,
    attack: (socket, head) => socket.write(head('POST', CHAT, `${lengthOf(1_000_000)}Expect: 100-continue\r\n`)),
  },
  {
    name: 'an expectation nobody knows',
    connections: 100,
    attack: (socket, head) => takeTurns(socket, 50, () => head('GET', '/v1/models', 'Expect: gold\r\n')),
  },
  {
    name: 'upgrades',
    connections: 100,
    attack: (socket, head) =>
      takeTurns(socket, 50, () => head('GET', '/v1/models', 'Connection: Upgrade\r\nUpgrade: websocket\r\n')),
  },
  {
    name: 'CONNECT',
    connections: 100,
    attack: (socket, head) => socket.write(head('CONNECT', '127.0.0.1:5432')),
  },
  {
    name: 'TLS on the plain port',
    connections: 100,
    attack: (socket) => socket.write(Buffer.concat([Buffer.from('16030102000100', 'hex'), Buffer.alloc(500, 1)])),
  },
  {
    name: 'HTTP/1.0 kept alive',
    connections: 100,
    attack: (socket) =>
      takeTurns(socket, 1_000, () => 'GET /health/liveness HTTP/1.0\r\nConnection: keep-alive\r\n\r\n'),
  },
  {
    name: 'long absolute addresses',
    connections: 50,
    attack: (socket, head) => takeTurns(socket, 500, () => head('GET', `http://x/${'%41/../'.repeat(2_000)}`)),
  },
  {
    name: 'keys nobody has',
    connections: 50,
    attack: (socket) =>
      takeTurns(
        socket,
        500,
        () => `GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer uc_${randomHex(64)}\r\n\r\n`,
      ),
  },
  {
    name: 'models, over and over',
    connections: 100,
    attack: (socket, head) => takeTurns(socket, 500, () => head('GET', '/v1/models')),
  },
  {
    name: 'HEAD and OPTIONS',
    connections: 100,
    attack: (socket, head) =>
      takeTurns(socket, 500, () => head(Math.random() < 0.5 ? 'HEAD' : 'OPTIONS', '/openapi.json')),
  },
  {
    name: 'calls, over and over',
    connections: 100,
    attack(socket, head) {
      const body = JSON.stringify({ model: 'bench', messages: [{ role: 'user', content: 'Hi' }] })
      takeTurns(socket, 500, () => head('POST', CHAT, lengthOf(body.length)) + body)
    },
  },
  {
    name: 'half-closed connections',
    connections: 100,
    attack: (socket, head) => socket.end(head('GET', '/openapi.json')),
  },
  {
    name: 'readers that stop',
    connections: 300,
    attack(socket, head) {
      socket.pause()
      socket.write(head('GET', '/openapi.json').repeat(8))
    },
  },
  {
    name: 'readers of a few bytes a second',
    connections: 300,
    attack(socket, head) {
      socket.pause()
      socket.write(head('GET', '/docs'))
      const timer = setInterval(() => socket.read(10), TRICKLE_MS)
      socket.once('close', () => clearInterval(timer))
    },
  },
  {
    name: 'coded bodies',
    connections: 50,
    attack: (socket, head) =>
      takeTurns(socket, 500, () => `${head('POST', CHAT, `${lengthOf(10)}Content-Encoding: gzip\r\n`)}0123456789`),
  },
  {
    name: 'two lengths',
    connections: 50,
    attack: (socket, head) => socket.write(`${head('POST', CHAT, `${lengthOf(5)}${CHUNKED}`)}0\r\n\r\n`),
  },
  ...FLOODS_OF_SURFACES,
]
