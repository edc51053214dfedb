/** How many calls run at once: of a key, a user, an organization, and in total. */
import { describe, expect, test } from 'vitest'
import { createBoundsOf } from '../../src/admission/caller-bounds.ts'
import { createRunningCalls } from '../../src/admission/running-calls.ts'
import type { TollgateError } from '../../src/http/errors.ts'
import type { Caller } from '../../src/identity/caller.ts'
import { NO_LIMITS } from '../../src/identity/no-limits.ts'
import { callerFor } from '../support/caller.ts'

const UNBOUND = {
  key: NO_LIMITS,
  organization: NO_LIMITS,
  plans: { platform: NO_LIMITS, byok: NO_LIMITS, hybrid: NO_LIMITS },
}
const MANY = { perKey: 100, perUser: 100, perOrganization: 100, total: 1_000, boundsOf: createBoundsOf(UNBOUND) }

function callerOf(organizationId: string, userId = 'alice', keyId: string | null = `${userId}-1`): Caller {
  return callerFor({ organizationId, userId, keyId })
}

function refusal(enter: () => unknown): TollgateError | null {
  try {
    enter()
    return null
  } catch (error) {
    return error as TollgateError
  }
}

describe('running calls', () => {
  test.for([
    { limits: { ...MANY, perKey: 2 }, other: callerOf('acme', 'alice', 'alice-2'), limit: 'key_calls' },
    { limits: { ...MANY, perUser: 2 }, other: callerOf('acme', 'bob'), limit: 'user_calls' },
    { limits: { ...MANY, perOrganization: 2 }, other: callerOf('zeta'), limit: 'organization_calls' },
  ])('Running calls beyond $limit are refused with 429, and others are not.', ({ limits, other, limit }) => {
    const calls = createRunningCalls(limits, () => 0)
    const alice = callerOf('acme')
    const leave = calls.enter(alice)
    calls.enter(alice)
    const refused = refusal(() => calls.enter(alice))
    expect(refused).toMatchObject({ status: 429, code: 'too_many_calls', limit })
    expect(refused?.headers).toMatchObject({ 'Retry-After': '1', 'x-should-retry': 'true' })
    expect(Number(refused?.headers['X-RateLimit-Reset'])).toBeGreaterThan(Date.now() / 1000)
    expect(refusal(() => calls.enter(other))).toBeNull()
    leave()
    expect(refusal(() => calls.enter(alice))).toBeNull()
  })

  const two = { ...NO_LIMITS, callsAtOnce: 2 }
  test.for([
    {
      bound: 'a key',
      calls: { ...UNBOUND, key: two },
      other: callerOf('acme', 'alice', 'alice-2'),
      refused: { limit: 'key_calls', message: expect.stringContaining('this key run at once: 2 do') },
    },
    {
      bound: 'an organization',
      calls: { ...UNBOUND, organization: two },
      other: callerOf('zeta'),
      refused: { limit: 'organization_calls', message: expect.stringContaining('this organization run at once: 2 do') },
    },
    {
      bound: 'an organization on a plan',
      calls: { ...UNBOUND, plans: { ...UNBOUND.plans, platform: two } },
      other: { ...callerOf('zeta'), plan: 'hybrid' as const },
      refused: { limit: 'organization_calls', message: expect.stringContaining('this organization run at once: 2 do') },
    },
  ])(
    'A limit of running calls in rate_limits for $bound binds before the general limits.',
    ({ calls, other, refused }) => {
      const running = createRunningCalls({ ...MANY, boundsOf: createBoundsOf(calls) }, () => 0)
      const alice = callerOf('acme')
      running.enter(alice)
      running.enter(alice)
      expect(refusal(() => running.enter(alice))).toMatchObject({ status: 429, code: 'too_many_calls', ...refused })
      expect([refusal(() => running.enter(other)), refusal(() => running.enter(other))]).toEqual([null, null])
    },
  )

  test('A caller without a key is bound as a user by the limit that keys have.', () => {
    const running = createRunningCalls({ ...MANY, boundsOf: createBoundsOf({ ...UNBOUND, key: two }) }, () => 0)
    const [alice, bob] = [callerOf('acme', 'alice', null), callerOf('acme', 'bob', null)]
    running.enter(alice)
    running.enter(alice)
    expect(refusal(() => running.enter(alice))).toMatchObject({ limit: 'user_calls' })
    expect(refusal(() => running.enter(bob))).toBeNull()
  })

  test('A user of the same name in another organization is another user.', () => {
    const calls = createRunningCalls({ ...MANY, perUser: 1 }, () => 0)
    calls.enter(callerOf('acme'))
    expect(refusal(() => calls.enter(callerOf('zeta')))).toBeNull()
  })

  test('Callers without a key are counted as users.', () => {
    const calls = createRunningCalls({ ...MANY, perKey: 1, perUser: 2 }, () => 0)
    const master = callerOf('default', 'admin', null)
    calls.enter(master)
    calls.enter(master)
    expect(refusal(() => calls.enter(master))).toMatchObject({ limit: 'user_calls' })
  })

  test('One organization runs no more calls than it leaves free, and whoever comes next finds room.', () => {
    const calls = createRunningCalls({ ...MANY, total: 12 }, () => 0)
    calls.enter(callerOf('hooli'))()
    const counts = ['acme', 'zeta', 'initech'].map((organization) => {
      let count = 0
      while (refusal(() => calls.enter(callerOf(organization))) === null) count += 1
      return count
    })
    expect(counts).toEqual([6, 3, 2])
    expect(refusal(() => calls.enter(callerOf('acme')))).toMatchObject({ status: 429, limit: 'organization_share' })
    expect(refusal(() => calls.enter(callerOf('hooli')))).toBeNull()
    expect(refusal(() => calls.enter(callerOf('globex')))).toMatchObject({
      status: 503,
      code: 'too_busy',
      limit: 'calls',
    })
  })

  test('An organization that is alone may run all calls but an eighth; once another one comes, that ends for ten minutes.', () => {
    let now = 0
    const calls = createRunningCalls({ ...MANY, total: 16 }, () => now)
    const acme = callerOf('acme')
    const leaves = Array.from({ length: 14 }, () => calls.enter(acme))
    expect(refusal(() => calls.enter(acme))).toMatchObject({ status: 429, limit: 'organization_share' })
    calls.enter(callerOf('zeta'))()
    for (const leave of leaves.slice(0, 6)) leave()
    expect(refusal(() => calls.enter(acme))).toMatchObject({ status: 429, limit: 'organization_share' })
    now = 600_001
    expect(refusal(() => calls.enter(acme))).toBeNull()
  })
})
