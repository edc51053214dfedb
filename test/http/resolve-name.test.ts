/** Names that callers give are looked up over sockets, with the hosts file and the operator's search domains. */

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { deflate } from 'node:zlib'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { createResolveName, type ResolveName } from '../../src/http/resolve-name.ts'
import { type NameServer, startNameServer } from '../support/name-server.ts'

let names: NameServer
let directory = ''
let resolve: ResolveName

beforeAll(async () => {
  names = await startNameServer()
  names.answer('both.example', () => ['203.0.113.7', '2001:db8::7'])
  names.answer('written.example', () => ['203.0.113.8'])
  names.answer('vllm.models.svc', () => ['10.1.2.3'])
  directory = await mkdtemp(join(tmpdir(), 'tollgate-names-'))
  const hostsFile = join(directory, 'hosts')
  const resolvFile = join(directory, 'resolv.conf')
  await writeFile(
    hostsFile,
    '# comment\n10.0.0.1\twritten.example Alias # more\nfd00::1 alias\nno-address some.example\n',
  )
  await writeFile(resolvFile, 'search ignored.example\nnameserver 127.0.0.1\nsearch other.svc models.svc. ; comment\n')
  resolve = createResolveName({ hostsFile, resolvFile, servers: [names.address] })
})
afterAll(async () => {
  await names.close()
  await rm(directory, { recursive: true })
})

test('A name resolves to its addresses of both families.', async () => {
  expect(await resolve('both.example', false)).toEqual([
    { address: '203.0.113.7', family: 4 },
    { address: '2001:db8::7', family: 6 },
  ])
})

test('The hosts file comes first, in any case of letters, with every line of a name.', async () => {
  expect(await resolve('WRITTEN.example', false)).toEqual([{ address: '10.0.0.1', family: 4 }])
  expect(await resolve('alias', false)).toEqual([
    { address: '10.0.0.1', family: 4 },
    { address: 'fd00::1', family: 6 },
  ])
})

test('A name that the operator lists is completed by the search domains, another is not.', async () => {
  expect(await resolve('vllm', true)).toEqual([{ address: '10.1.2.3', family: 4 }])
  expect(await resolve('vllm', false)).toEqual([])
  expect(await resolve('nobody.example', true)).toEqual([])
})

test('Without the files of the system names are asked for all the same.', async () => {
  const bare = createResolveName({ hostsFile: '/nowhere', resolvFile: '/nowhere', servers: [names.address] })
  expect(await bare('written.example', true)).toEqual([{ address: '203.0.113.8', family: 4 }])
})

test('A silent name server leaves the threads of libuv free.', async () => {
  const silent = createSocket('udp4')
  silent.bind(0, '127.0.0.1')
  await once(silent, 'listening')
  onTestFinished(() => void silent.close())
  const servers = [`127.0.0.1:${silent.address().port}`]
  const deaf = createResolveName({ hostsFile: '/nowhere', resolvFile: '/nowhere', servers })
  const order: string[] = []
  const lookups = Array.from({ length: 32 }, (_, i) =>
    deaf(`silent-${i}.example`, false).then(() => order.push('name')),
  )
  await promisify(deflate)(Buffer.alloc(1_000))
  order.push('deflated')
  expect(await Promise.all(lookups)).toHaveLength(32)
  expect(order[0]).toBe('deflated')
})
