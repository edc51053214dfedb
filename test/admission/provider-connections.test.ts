/** Connections to a provider's host, shared between organizations. */
import { describe, expect, test } from 'vitest'
import { createProviderConnections } from '../../src/admission/provider-connections.ts'

const HOST = 'api.example.com'
const FOR_EVER = { waitMs: 1_000_000 }
const nobodyLeaves = () => {}

/** What waits is not answered in this turn of the loop. */
async function isWaiting(taken: Promise<unknown>): Promise<boolean> {
  const waits = Symbol('waits')
  return (await Promise.race([taken, new Promise((resolve) => setImmediate(resolve, waits))])) === waits
}

describe('connections to one host', () => {
  test('One organization takes no more connections to a host than it leaves free, and others get theirs beside it.', async () => {
    const shares = createProviderConnections({ connections: 4, ...FOR_EVER }, () => 0)
    const take = (organization: string) => shares.take(HOST, organization, nobodyLeaves)
    for (const organization of ['acme', 'acme', 'zeta']) expect(await take(organization)).not.toBeNull()
    expect(await isWaiting(take('acme'))).toBe(true)
    expect(await isWaiting(take('zeta'))).toBe(true)
    expect(await take('initech')).not.toBeNull()
    expect(await isWaiting(take('hooli'))).toBe(true)
    expect(await shares.take('other.example.com', 'hooli', nobodyLeaves)).not.toBeNull()
  })

  test('A connection that is free again goes to the organization that has the fewest, and to its first in line.', async () => {
    const shares = createProviderConnections({ connections: 4, ...FOR_EVER }, () => 0)
    const take = (organization: string) => shares.take(HOST, organization, nobodyLeaves)
    const [giveBack] = [await take('acme'), await take('acme'), await take('zeta'), await take('hooli')]
    const order: string[] = []
    for (const [name, organization] of [
      ['acme', 'acme'],
      ['initech first', 'initech'],
      ['initech second', 'initech'],
    ] as const)
      void take(organization).then(() => order.push(name))
    giveBack?.()
    expect(await isWaiting(new Promise(() => {}))).toBe(true)
    expect(order).toEqual(['initech first'])
  })

  test('Nobody waits longer than the time that is set, nor after the caller has left.', async () => {
    const shares = createProviderConnections({ connections: 1, waitMs: 1 }, () => 0)
    const giveBack = await shares.take(HOST, 'acme', nobodyLeaves)
    expect(await shares.take(HOST, 'acme', nobodyLeaves)).toBeNull()
    const patient = createProviderConnections({ connections: 1, ...FOR_EVER }, () => 0)
    await patient.take(HOST, 'acme', nobodyLeaves)
    expect(await patient.take(HOST, 'acme', (cancel) => cancel())).toBeNull()
    giveBack?.()
    expect(await shares.take(HOST, 'acme', nobodyLeaves)).not.toBeNull()
  })
})
