/** Tokens that credentials are exchanged for: one exchange for all, until a minute before the token ends, at a place that may be called. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createAccessTokens } from '../../src/call/access-tokens.ts'
import { createAddressGuard } from '../../src/http/address-guard.ts'

let exchanges = 0
let answer: [status: number, body: string] = [200, '{}']
const server = createServer((_, outgoing) => {
  exchanges += 1
  outgoing.writeHead(answer[0]).end(answer[1].replace('N', String(exchanges)))
})
let host = ''
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  host = `127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => void server.close())

const ask = (id = 'a', url = `http://${host}/token`) => ({ id, url, form: async () => ({ grant_type: 'x' }) })
const token = (seconds: number) => JSON.stringify({ access_token: 'token-N', expires_in: seconds })

function tokensAt(clock: { now: number }, isListed = true) {
  return createAccessTokens(
    createAddressGuard(isListed ? [host] : []),
    () => clock.now,
    () => isListed,
  )
}

test('An access token is used until a minute before it expires, and all calls that wait get the same one.', async () => {
  const clock = { now: 0 }
  const tokens = tokensAt(clock)
  answer = [200, token(600)]
  exchanges = 0
  expect(await Promise.all([tokens(ask()), tokens(ask()), tokens(ask())])).toEqual(Array(3).fill('token-1'))
  clock.now = 539_999
  expect(await tokens(ask())).toBe('token-1')
  clock.now = 540_000
  expect(await tokens(ask())).toBe('token-2')
  expect(await tokens(ask('b'))).toBe('token-3')
  expect(exchanges).toBe(3)
})

test('A failure to get an access token is told to all calls that wait for it, and not remembered.', async () => {
  const tokens = tokensAt({ now: 0 })
  answer = [400, '{"error":"invalid_grant","error_description":"of gate@acme"}']
  const told = await Promise.allSettled([tokens(ask()), tokens(ask())])
  for (const one of told)
    expect(one).toMatchObject({
      reason: { kind: 'auth', message: 'the endpoint for tokens returned status 400 invalid_grant' },
    })
  answer = [200, token(600)]
  expect(await tokens(ask())).toMatch(/^token-/)
})

test.each([
  [503, '{}', 'unreachable'],
  [429, '{}', 'unreachable'],
  [200, '{"access_token":"with space"}', 'auth'],
  [200, 'no JSON', 'auth'],
])('A response with status %s and %s is not taken for an access token: %s.', async (status, body, kind) => {
  answer = [status, body]
  await expect(tokensAt({ now: 0 })(ask())).rejects.toMatchObject({ kind })
})

test('An address that is not https, or not public, is called only where the operator lists it.', async () => {
  exchanges = 0
  for (const url of [`http://${host}/token`, `https://${host}/token`, 'ftp://x', 'https://user:pass@example.com/', 'x'])
    await expect(tokensAt({ now: 0 }, false)(ask('a', url))).rejects.toMatchObject({ kind: 'auth' })
  expect(exchanges).toBe(0)
})
