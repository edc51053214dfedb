/** Which candidate is tried after a failure, and how long is waited before. */
import { describe, expect, test } from 'vitest'
import type { ProviderErrorKind } from '../../providers/provider.ts'
import { nextCandidate, ownAccountFirst } from '../../src/routing/next-candidate.ts'
import { waitBefore } from '../../src/routing/wait-before.ts'

const own = (name: string, apiKey = 'own') => ({ name, apiKey, payer: { isCharged: false } })
const platform = (name: string) => ({ name, apiKey: 'platform', payer: { isCharged: true } })

const ALL: readonly ProviderErrorKind[] = ['auth', 'quota', 'rate_limit', 'overloaded', 'failed', 'unreachable']

describe('After a failure', () => {
  const first = platform('first')
  const second = platform('second')
  const mine = own('mine')
  const mineElsewhere = own('mine elsewhere')
  const another = own('another key', 'other')

  test.each(ALL)('After a failure of the kind %s, candidates of the platform are tried in turn.', (kind) => {
    expect(nextCandidate(kind, first, [first, second], true)).toBe(second)
    expect(nextCandidate(kind, second, [first, second], true)).toBe(first)
    expect(nextCandidate(kind, first, [first], true)).toBe(first)
  })

  test.each(['overloaded', 'failed', 'unreachable'] as const)(
    'After a failure of the kind %s, the caller’s own account is asked again, never the platform’s.',
    (kind) => {
      expect(nextCandidate(kind, mine, [mine, first], true)).toBe(mine)
      expect(nextCandidate(kind, mine, [mine, mineElsewhere, first], true)).toBe(mineElsewhere)
    },
  )

  test.each(['auth', 'quota'] as const)(
    'After a failure of the kind %s, the same key is not tried elsewhere.',
    (kind) => {
      expect(nextCandidate(kind, mine, [mine, mineElsewhere, first], true)).toBe(first)
      expect(nextCandidate(kind, mine, [mine, another, first], true)).toBe(another)
      expect(nextCandidate(kind, mine, [mine, mineElsewhere], true)).toBe(mine)
    },
  )

  test('After a failure of a rate limit, the same key may do for another model.', () => {
    expect(nextCandidate('rate_limit', mine, [mine, mineElsewhere, first], true)).toBe(mineElsewhere)
  })

  test('After a failure without tries left, only the platform’s account follows the caller’s.', () => {
    expect(nextCandidate('auth', mine, [mine, another, first], false)).toBe(first)
  })

  test('After a failure of the platform’s account, the caller’s is not asked again.', () => {
    expect(nextCandidate('auth', first, [mine, first], true)).toBe(first)
  })
})

test('The caller’s own account comes first, each side in the order it had.', () => {
  const [a, b, c, d] = [platform('a'), own('b'), platform('c'), own('d')]
  expect(ownAccountFirst([a, b, c, d])).toEqual([b, d, a, c])
})

describe('The wait before the next attempt', () => {
  const failed = (kind: ProviderErrorKind, retryAfterMs: number | null = null) => ({ kind, retryAfterMs })

  test.each([
    ['a quarter of a second before the first retry', failed('failed'), false, 0, 250],
    ['twice as long before each later one', failed('overloaded'), false, 2, 1_000],
    ['as long as the provider says', failed('rate_limit', 1_500), false, 0, 1_500],
    ['none where another is asked', failed('rate_limit', 60_000), true, 0, 0],
    ['none where another key is tried', failed('auth'), true, 0, 0],
  ])('The wait before the next attempt is %s.', (_, failure, isElsewhere, tries, wait) => {
    expect(waitBefore(failure, isElsewhere, tries)).toBe(wait)
  })

  test.each([
    ['a pause of more than five seconds', failed('rate_limit', 5_001), false, 0],
    ['a backoff of more than five seconds', failed('failed'), false, 5],
    ['a time-out, which may have been paid for', failed('timeout'), true, 0],
    ['a bad request', failed('bad_request'), true, 0],
    ['a key that was rejected, at the same candidate', failed('auth'), false, 0],
  ])('The wait before the next attempt ends the attempts after %s.', (_, failure, isElsewhere, tries) => {
    expect(waitBefore(failure, isElsewhere, tries)).toBeNull()
  })
})
