/** An attempt waits for its connection, and goes out only while its hold stands. */
import { expect, test } from 'vitest'
import { createProviderConnections } from '../../src/admission/provider-connections.ts'
import { onConnection } from '../../src/call/start-upstream.ts'

type Call = Parameters<typeof onConnection>[1]

function callOf(organizationId: string): Call {
  const deployment = { mockResponse: null, apiBase: 'http://127.0.0.1:9/v1' }
  const candidate = { deployment, provider: { label: 'Scripted' } }
  return { caller: { organizationId }, exchange: { onDisconnect() {} }, hold: {}, candidate } as unknown as Call
}

function dependencies(covers: () => boolean) {
  const refused: string[] = []
  const connections = createProviderConnections({ connections: 1, waitMs: 1_000_000 }, () => 0)
  const deps = { connections, ledger: { covers }, metrics: { refused: (limit: string) => refused.push(limit) } }
  return { deps: deps as unknown as Parameters<typeof onConnection>[0], refused }
}

test('one whose lease ran out while it waited is not made, and gives its connection back', async () => {
  let covered = true
  const { deps, refused } = dependencies(() => covered)
  const gate = Promise.withResolvers<string>()
  const started = Promise.withResolvers<void>()
  const first = onConnection(deps, callOf('acme'), () => {
    started.resolve()
    return gate.promise
  })
  await started.promise
  const second = onConnection(deps, callOf('zeta'), () => Promise.resolve('went out'))
  covered = false
  gate.resolve('answered')
  expect(await first).toEqual({ made: true, result: 'answered' })
  expect(await second).toMatchObject({ made: false, error: { code: 'ledger_unavailable' } })
  covered = true
  expect(await onConnection(deps, callOf('zeta'), () => Promise.resolve('made'))).toEqual({
    made: true,
    result: 'made',
  })
  expect(refused).toEqual([])
})

test('one that throws gives its connection back', async () => {
  const { deps } = dependencies(() => true)
  await expect(onConnection(deps, callOf('acme'), () => Promise.reject(new Error('broken')))).rejects.toThrow('broken')
  expect(await onConnection(deps, callOf('acme'), () => Promise.resolve(1))).toEqual({ made: true, result: 1 })
})
