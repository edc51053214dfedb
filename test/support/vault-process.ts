/**
 * An instance as far as provider keys go, for tests of several: a vault behind a small HTTP server. GET / answers with the keys of
 * the platform and of a user, POST /?key= stores the platform's groq key. Started as
 * `node vault-process.ts`, with DATABASE_URL and the root keys in its environment; says its port, ends with its standard input.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect } from '../../src/db/connect.ts'
import { createLog } from '../../src/observe/log.ts'
import { readRootConfig } from '../../src/vault/root-config.ts'
import { openVault } from '../../src/vault/vault.ts'

const { env } = process
const databaseUrl = env.DATABASE_URL ?? ''
const database = connect(databaseUrl, { maxConnections: 5 })
const { roots, fernetKeys } = await readRootConfig(env, { embedded: false, dataDir: '' })
const vault = await openVault({
  database,
  databaseUrl,
  roots,
  fernetKeys,
  log: createLog('warn'),
  now: () => performance.now(),
})

const server = createServer(async (request, response) => {
  try {
    if (request.method === 'POST') {
      const key = new URL(request.url ?? '', 'http://localhost').searchParams.get('key') ?? ''
      await vault.save('groq', { kind: 'platform' }, key, { actor: 'test', ip: null, requestId: null })
      response.end('stored')
      return
    }
    const found = [vault.find('openai', { kind: 'platform' }), vault.find('openai', { kind: 'user', id: 'alice' })]
    response.end(JSON.stringify(await Promise.all([...found, vault.find('groq', { kind: 'platform' })])))
  } catch (error) {
    response.statusCode = 500
    response.end((error as Error).message)
  }
})
server.listen(0, '127.0.0.1', () => process.stdout.write(`port ${(server.address() as AddressInfo).port}\n`))
process.stdin.on('end', () => process.exit(0)).resume()
