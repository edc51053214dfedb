/** Whose word is taken for who is at the other end. */
import { expect, test } from 'vitest'
import { createClientOf } from '../../src/http/trusted-proxies.ts'

interface Case {
  trusted: string[]
  peer: string
  headers?: Record<string, string>
  is: { address: string; isHttps?: boolean; host?: string | null }
}

const PROXY = '10.0.0.1'
const CLIENT = '203.0.113.9'

test.each<[string, Case]>([
  [
    'Without trusted proxies nothing a request says is believed',
    {
      trusted: [],
      peer: PROXY,
      headers: { 'x-forwarded-for': CLIENT, 'x-forwarded-proto': 'https', 'x-forwarded-host': 'a.example' },
      is: { address: PROXY },
    },
  ],
  [
    'A peer that is not listed is the client, whatever it says',
    {
      trusted: ['10.0.0.0/8'],
      peer: CLIENT,
      headers: { 'x-forwarded-for': '1.2.3.4', 'x-forwarded-proto': 'https' },
      is: { address: CLIENT },
    },
  ],
  [
    'A listed proxy names the client',
    {
      trusted: ['10.0.0.0/8'],
      peer: PROXY,
      headers: { 'x-forwarded-for': CLIENT, 'x-forwarded-proto': 'https', 'x-forwarded-host': 'a.example' },
      is: { address: CLIENT, isHttps: true, host: 'a.example' },
    },
  ],
  [
    'What the client itself put first is not its address',
    {
      trusted: ['10.0.0.0/8'],
      peer: PROXY,
      headers: { 'x-forwarded-for': `127.0.0.1, ${CLIENT}` },
      is: { address: CLIENT },
    },
  ],
  [
    'Proxies behind proxies are passed over',
    {
      trusted: ['10.0.0.0/8', '192.0.2.7'],
      peer: PROXY,
      headers: { 'x-forwarded-for': `1.2.3.4, ${CLIENT}, 192.0.2.7, 10.9.9.9` },
      is: { address: CLIENT },
    },
  ],
  [
    'Where every hop is a proxy, the first one is the client',
    {
      trusted: ['10.0.0.0/8'],
      peer: PROXY,
      headers: { 'x-forwarded-for': '10.0.0.3, 10.0.0.2' },
      is: { address: '10.0.0.3' },
    },
  ],
  [
    'What is no address ends the reading',
    {
      trusted: ['10.0.0.0/8'],
      peer: PROXY,
      headers: { 'x-forwarded-for': `${CLIENT}, unknown, 10.0.0.2` },
      is: { address: '10.0.0.2' },
    },
  ],
  [
    'Ports are left out',
    { trusted: ['10.0.0.0/8'], peer: PROXY, headers: { 'x-forwarded-for': `${CLIENT}:4711` }, is: { address: CLIENT } },
  ],
  [
    'An IPv6 client has brackets or none',
    {
      trusted: ['fd00::/8'],
      peer: 'fd00::1',
      headers: { 'x-forwarded-for': '[2001:db8::7]:4711' },
      is: { address: '2001:db8::7' },
    },
  ],
  [
    'An IPv4 proxy on an IPv6 socket is the same proxy',
    { trusted: [PROXY], peer: `::ffff:${PROXY}`, headers: { 'x-forwarded-for': CLIENT }, is: { address: CLIENT } },
  ],
  ['A proxy that says nothing is itself the client', { trusted: [PROXY], peer: PROXY, is: { address: PROXY } }],
])('%s.', (_, { trusted, peer, headers = {}, is }) => {
  const clientOf = createClientOf(trusted)
  const socket = { remoteAddress: peer } as never
  expect(clientOf({ headers: { host: 'own.example', ...headers }, socket })).toEqual({
    isHttps: false,
    host: 'own.example',
    ...is,
  })
})

test.each(['', 'proxy.example', '10.0.0.0/33', '10.0.0.0/8/8', 'fd00::/129', '10.0.0.0/x'])(
  'The entry %j is refused.',
  (entry) => {
    expect(() => createClientOf([entry])).toThrow('neither an address nor a range')
  },
)
