/** When a deployment that failed is spared, for how long, and how it comes back. */
import { expect, test } from 'vitest'
import type { ProviderErrorKind } from '../../providers/provider.ts'
import { createHealth, type HealthRules } from '../../src/routing/health.ts'

const RULES: HealthRules = { cooldowns: true, cooldownMs: 5_000, allowedFails: null, allowedFailsPolicy: null }

function health(rules: Partial<HealthRules> = {}) {
  const told: number[] = []
  let ms = 0
  const one = createHealth(
    { ...RULES, ...rules },
    () => ms,
    (for_) => told.push(for_),
  )
  const fail = (kind: ProviderErrorKind, { wait = null as number | null, mayBeSpared = true } = {}) => {
    const isTrial = one.begin()
    one.failed({ kind, retryAfterMs: wait }, mayBeSpared, isTrial)
  }
  return {
    ...one,
    told,
    fail,
    answer: () => one.answered(one.begin()),
    after: (more: number) => {
      ms += more
    },
  }
}

test.each(['rate_limit', 'auth', 'quota', 'model_not_found', 'timeout'] as const)(
  'One failure of the kind %s is enough.',
  (kind) => {
    const one = health()
    one.fail(kind)
    expect(one.awayFor()).toBe(5_000)
  },
)

test.each(['bad_request', 'too_large', 'context_length', 'content_filter'] as const)(
  'No number of failures of the kind %s spares anybody.',
  (kind) => {
    const one = health({ allowedFails: 0 })
    for (let call = 0; call < 20; call += 1) one.fail(kind)
    expect([one.awayFor(), one.told]).toEqual([0, []])
  },
)

test.each([
  ['four failures of four calls', 0, 4, 0],
  ['five of five', 0, 5, 5_000],
  ['five of ten', 5, 5, 0],
  ['six of eleven', 5, 6, 5_000],
])('After %s in a minute a deployment is spared accordingly.', (_, answers, failures, ms) => {
  const one = health()
  for (let call = 0; call < answers; call += 1) one.answer()
  for (let call = 0; call < failures; call += 1) one.fail('failed')
  expect(one.awayFor()).toBe(ms)
})

test('Failures of the minute before are forgotten.', () => {
  const one = health()
  for (let call = 0; call < 4; call += 1) one.fail('failed')
  one.after(60_000)
  one.fail('failed')
  expect(one.awayFor()).toBe(0)
})

test('By allowed_fails the next failure of any kind spares a deployment, and by a policy the next of its kind.', () => {
  const plain = health({ allowedFails: 1 })
  plain.fail('rate_limit')
  expect(plain.awayFor()).toBe(0)
  plain.fail('failed')
  expect(plain.awayFor()).toBe(5_000)
  const byKind = health({ allowedFailsPolicy: { RateLimitError: 1 } })
  for (const kind of ['failed', 'rate_limit', 'failed'] as const) byKind.fail(kind)
  expect(byKind.awayFor()).toBe(0)
  byKind.fail('rate_limit')
  expect(byKind.awayFor()).toBe(5_000)
})

test.each([
  [60_000, 60_000],
  [1_000, 5_000],
  [1e12, 3_600_000],
])('A provider that asks for %i ms is left alone for %i ms.', (wait, ms) => {
  const one = health()
  one.fail('rate_limit', { wait })
  expect(one.awayFor()).toBe(ms)
})

test('Where nobody else can do its work, or nobody is to be spared, calls go on.', () => {
  const alone = health()
  alone.fail('rate_limit', { mayBeSpared: false })
  const never = health({ cooldowns: false })
  never.fail('rate_limit')
  expect([alone.awayFor(), never.awayFor()]).toEqual([0, 0])
})

test('When its time is over one call goes to a deployment, and only its answer lets the others in.', () => {
  const one = health()
  one.fail('rate_limit')
  one.after(5_000)
  expect(one.awayFor()).toBe(0)
  expect(one.begin()).toBe(true)
  expect(one.awayFor()).toBe(1_000)
  one.answered(true)
  expect([one.awayFor(), one.begin(), one.told]).toEqual([0, false, [5_000, 0]])
})

test('If that first call fails, the deployment is spared again, however few failures are enough otherwise.', () => {
  const one = health()
  one.fail('rate_limit')
  one.after(5_000)
  one.fail('failed')
  expect([one.awayFor(), one.told]).toEqual([5_000, [5_000, 5_000]])
})

test('If nobody knows what came of that first call, the next one shows it.', () => {
  const one = health()
  one.fail('rate_limit')
  one.after(5_000)
  one.forget(one.begin())
  expect([one.awayFor(), one.begin()]).toEqual([0, true])
})

test('A refusal of the request shows that the deployment is well.', () => {
  const one = health()
  one.fail('rate_limit')
  one.after(5_000)
  one.fail('bad_request')
  expect([one.awayFor(), one.begin()]).toEqual([0, false])
})

test('What another process says counts as its own failure does.', () => {
  const one = health()
  one.hear(3_000)
  expect(one.awayFor()).toBe(3_000)
  one.hear(0)
  expect([one.awayFor(), one.told]).toEqual([0, []])
})
