/** Which addresses of callers may be called, and that the one that was judged is the one that is connected to. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { createAddressGuard, guardedRequest } from '../../src/http/address-guard.ts'
import { toTollgateError } from '../../src/http/errors.ts'
import { type NameServer, startNameServer } from '../support/name-server.ts'

let names: NameServer
let server: Server
let port = 0
let seen: string[] = []

beforeAll(async () => {
  names = await startNameServer()
  server = createServer((request, response) => {
    seen.push(`${request.method} ${request.headers.host}${request.url}`)
    if (request.url === '/away') response.writeHead(302, { location: `http://127.0.0.1:${port}/secret` }).end('moved')
    else response.end('a body of some length')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  port = (server.address() as AddressInfo).port
})
afterEach(() => {
  seen = []
})
afterAll(async () => {
  await names.close()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

const refusal = (work: Promise<unknown>) =>
  work.then(
    () => 'allowed',
    (error: unknown) => toTollgateError(error).message,
  )
const guardOf = (...allowed: string[]) => createAddressGuard(allowed, names.resolve)
const cantCall = (host: string, why: string) =>
  `The address "${host}" can't be called: ${why}. Use a public one, or ask the operator to list it.`
const NOT_PUBLIC = 'it is not a public address'

describe('without a list', () => {
  test.each([
    ['http://127.0.0.1/', '127.0.0.1'],
    ['http://127.1/', '127.0.0.1'],
    ['http://2130706433/', '127.0.0.1'],
    ['http://0x7f000001/', '127.0.0.1'],
    ['http://0177.0.0.1/', '127.0.0.1'],
    ['http://0x7f.1/', '127.0.0.1'],
    ['http://①②⑦.0.0.1/', '127.0.0.1'],
    ['http://127.0.0.1./', '127.0.0.1'],
    ['http://0/', '0.0.0.0'],
    ['http://10.0.0.1/', '10.0.0.1'],
    ['http://172.31.255.255/', '172.31.255.255'],
    ['http://192.168.1.1/', '192.168.1.1'],
    ['http://100.64.0.1/', '100.64.0.1'],
    ['http://100.100.100.200/', '100.100.100.200'],
    ['http://169.254.169.254/latest/meta-data/', '169.254.169.254'],
    ['http://2852039166/', '169.254.169.254'],
    ['http://168.63.129.16/', '168.63.129.16'],
    ['http://192.0.0.192/', '192.0.0.192'],
    ['http://198.18.0.1/', '198.18.0.1'],
    ['http://224.0.0.1/', '224.0.0.1'],
    ['http://255.255.255.255/', '255.255.255.255'],
    ['http://[::]/', '::'],
    ['http://[::1]/', '::1'],
    ['http://[::ffff:127.0.0.1]/', '::ffff:7f00:1'],
    ['http://[::ffff:8.8.8.8]/', '::ffff:808:808'],
    ['http://[::7f00:1]/', '::7f00:1'],
    ['http://[64:ff9b::7f00:1]/', '64:ff9b::7f00:1'],
    ['http://[2002:7f00:1::]/', '2002:7f00:1::'],
    ['http://[2001:0:7f00:1::]/', '2001:0:7f00:1::'],
    ['http://[2001:db8::1]/', '2001:db8::1'],
    ['http://[fe80::1]/', 'fe80::1'],
    ['http://[fd00:ec2::254]/', 'fd00:ec2::254'],
    ['http://[ff02::1]/', 'ff02::1'],
  ])('The address %s is refused without a list.', async (url, host) => {
    expect(await refusal(guardOf().check(url))).toBe(cantCall(host, NOT_PUBLIC))
  })

  test.each([['https://8.8.8.8/v1'], ['http://8.8.8.8/v1'], ['https://172.32.0.1/'], ['https://[2606:4700::1111]/']])(
    'The address %s is allowed without a list.',
    async (url) => {
      expect((await guardOf().check(url)).href).toBe(new URL(url).href)
    },
  )

  test.each([
    ['https://8.8.8.8:8443/', '8.8.8.8', "port 8443 is not a web server's"],
    ['http://8.8.8.8:22/', '8.8.8.8', "port 22 is not a web server's"],
    ['https://user:pw@8.8.8.8/', '8.8.8.8', 'a URL must not hold a user or password'],
    ['https://8.8.8.8@127.0.0.1/', '127.0.0.1', 'a URL must not hold a user or password'],
    ['ftp://8.8.8.8/', 'ftp:', 'only https and http are called'],
    ['file:///etc/passwd', 'file:', 'only https and http are called'],
    ['gopher://127.0.0.1:6379/_', 'gopher:', 'only https and http are called'],
    ['//8.8.8.8/', 'what was given', 'it is not a URL'],
    ['https://', 'what was given', 'it is not a URL'],
    ['http://256.1.1.1/', 'what was given', 'it is not a URL'],
  ])('The address %s is refused for what it is.', async (url, host, why) => {
    expect(await refusal(guardOf().check(url))).toBe(cantCall(host, why))
  })

  test('A name is judged by all its addresses, and the response does not show them.', async () => {
    names.answer('public.test', () => ['93.184.216.34', '2606:4700::1111'])
    names.answer('inside.test', () => ['10.7.7.7'])
    names.answer('both.test', () => ['93.184.216.34', '10.7.7.7'])
    names.answer('six.test', () => ['93.184.216.34', 'fd00::7'])
    expect(await refusal(guardOf().check('https://public.test/v1'))).toBe('allowed')
    for (const name of ['inside.test', 'both.test', 'six.test'])
      expect(await refusal(guardOf().check(`https://${name}/v1`))).toBe(cantCall(name, NOT_PUBLIC))
    expect(await refusal(guardOf().check('https://nowhere.test/v1'))).toBe(
      'The host "nowhere.test" has no address. Check the URL.',
    )
  })
})

describe('what the operator lists', () => {
  test('A host that the operator lists is allowed with its port, and nothing beside it.', async () => {
    names.answer('ollama.test', () => ['10.7.7.7'])
    names.answer('other.test', () => ['10.7.7.7'])
    const guard = guardOf('ollama.test:11434')
    expect(await refusal(guard.check('http://ollama.test:11434/v1'))).toBe('allowed')
    expect(await refusal(guard.check('http://OLLAMA.test.:11434/v1'))).toBe('allowed')
    expect(await refusal(guard.check('http://ollama.test/v1'))).toBe(cantCall('ollama.test', NOT_PUBLIC))
    expect(await refusal(guard.check('http://other.test:11434/v1'))).toBe(
      cantCall('other.test', "port 11434 is not a web server's"),
    )
    expect(await refusal(guard.check('http://10.7.7.7:11434/v1'))).toBe(
      cantCall('10.7.7.7', "port 11434 is not a web server's"),
    )
  })

  test('A range that the operator lists is allowed.', async () => {
    const guard = guardOf('10.1.0.0/16', '[fd00::/8]:8080', '192.168.1.1:3000', 'fd12::1')
    for (const url of ['http://10.1.2.3/', 'http://[fd00::1]:8080/', 'http://192.168.1.1:3000/', 'http://[fd12::1]/'])
      expect(await refusal(guard.check(url))).toBe('allowed')
    for (const url of ['http://10.2.0.0/', 'http://[fd00::1]/', 'http://192.168.1.1/', 'http://10.1.2.3:8080/'])
      expect(await refusal(guard.check(url))).not.toBe('allowed')
  })

  test.each(['', 'a b', '10.0.0.0/33', '10.0.0.0/8/8', 'host/8', 'host:port', 'host:99999', 'http://host'])(
    'A listed address of %j is not understood, which stops the start.',
    (entry) => {
      expect(() => createAddressGuard([entry])).toThrow('is not an address to allow')
    },
  )
})

describe('a connection', () => {
  const options = { method: 'GET', timeoutMs: 5_000, maxBytes: 6 } as const

  test('A connection goes where the judged answer pointed; the name is asked once.', async () => {
    names.answer('listed.test', () => ['127.0.0.1'])
    const answer = await guardedRequest(
      guardOf(`listed.test:${port}`),
      `http://listed.test:${port}/v1/models?a=b`,
      options,
    )
    expect({ status: answer.status, body: answer.body.toString() }).toEqual({ status: 200, body: 'a body' })
    expect(seen).toEqual([`GET listed.test:${port}/v1/models?a=b`])
    expect(names.lookups('listed.test')).toBe(1)
  })

  test('A connection of a name that was public when it was stored and is not any more is refused.', async () => {
    names.answer('rebinding.test', (lookup) => (lookup === 0 ? ['93.184.216.34'] : ['127.0.0.1']))
    const guard = guardOf()
    expect(await refusal(guard.check('http://rebinding.test/'))).toBe('allowed')
    expect(await refusal(guardedRequest(guard, 'http://rebinding.test/', options))).toBe(
      cantCall('rebinding.test', NOT_PUBLIC),
    )
    expect(names.lookups('rebinding.test')).toBe(2)
  })

  test('A connection is refused for addresses too, which no name server is asked about.', async () => {
    expect(await refusal(guardedRequest(guardOf(), `http://127.0.0.1:${port}/`, options))).toBe(
      cantCall('127.0.0.1', `port ${port} is not a web server's`),
    )
    expect(await refusal(guardedRequest(guardOf(), 'http://[::ffff:127.0.0.1]/', options))).toBe(
      cantCall('::ffff:7f00:1', NOT_PUBLIC),
    )
    expect(seen).toEqual([])
  })

  test('A connection follows no redirect.', async () => {
    const answer = await guardedRequest(guardOf(`127.0.0.1:${port}`), `http://127.0.0.1:${port}/away`, options)
    expect(answer.status).toBe(302)
    expect(seen).toEqual([`GET 127.0.0.1:${port}/away`])
  })
})
