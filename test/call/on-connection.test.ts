/** An attempt waits for its connection, and goes out only while its hold stands. */
import { expect, test } from 'vitest'
import { createProviderConnections } from '../../src/admission/provider-connections.ts'
import { onConnection } from '../../src/call/send-attempt.ts'

type Attempt = Parameters<typeof onConnection>[1]

function attemptOf(organizationId: string, covers: () => boolean): Attempt {
  const candidate = {
    deployment: { apiBase: 'http://127.0.0.1:9/v1', extraHeaders: {} },
    terms: { mock: null, provider: { label: 'Scripted' }, prepare: () => ({ headers: {}, body: [] }) },
    payer: {},
    quote: {},
  }
  const call = { caller: { organizationId }, exchange: { onDisconnect() {} }, hold: { covers } }
  return { call, candidate } as unknown as Attempt
}

function dependencies() {
  const refused: string[] = []
  const connections = createProviderConnections({ connections: 1, waitMs: 1_000_000 }, () => 0)
  const deps = {
    network: { connections },
    observe: { metrics: { refused: (limit: string) => refused.push(limit) } },
  }
  return { deps: deps as unknown as Parameters<typeof onConnection>[0], refused }
}

test('An attempt whose lease ran out while it waited is not made, and gives its connection back.', async () => {
  let covered = true
  const { deps, refused } = dependencies()
  const covers = () => covered
  const gate = Promise.withResolvers<string>()
  const started = Promise.withResolvers<void>()
  const first = onConnection(deps, attemptOf('acme', covers), () => {
    started.resolve()
    return gate.promise
  })
  await started.promise
  const second = onConnection(deps, attemptOf('zeta', covers), () => Promise.resolve('went out'))
  covered = false
  gate.resolve('answered')
  expect(await first).toEqual({ result: 'answered' })
  expect(await second).toMatchObject({ error: { code: 'ledger_unavailable' } })
  covered = true
  expect(await onConnection(deps, attemptOf('zeta', covers), () => Promise.resolve('made'))).toEqual({ result: 'made' })
  expect(refused).toEqual([])
})

test('An attempt that throws gives its connection back.', async () => {
  const { deps } = dependencies()
  const acme = attemptOf('acme', () => true)
  await expect(onConnection(deps, acme, () => Promise.reject(new Error('broken')))).rejects.toThrow('broken')
  expect(await onConnection(deps, acme, () => Promise.resolve(1))).toEqual({ result: 1 })
})
