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
  type Candidate = ReturnType<typeof own> | ReturnType<typeof platform>

  /** The failed one had the request, as had those before it. */
  const next = (kind: ProviderErrorKind, failed: Candidate, candidates: Candidate[], mayRetry = true) => {
    const spent = new Set(candidates.slice(0, candidates.indexOf(failed) + 1))
    return nextCandidate(kind, failed, { candidates, spent, mayRetry })
  }

  test.each(ALL)('After a failure of the kind %s, candidates of the platform are tried in turn, each once.', (kind) => {
    expect(next(kind, first, [first, second])).toBe(second)
    expect(next(kind, second, [first, second])).toBeNull()
    expect(next(kind, first, [first])).toBeNull()
    expect(next(kind, first, [first, second], false)).toBeNull()
  })

  test('After a failure, those that got no connection are tried again, the last one last.', () => {
    const asked = { candidates: [first, second], mayRetry: true }
    expect(nextCandidate('failed', second, { ...asked, spent: new Set([second]) })).toBe(first)
    expect(nextCandidate('unreachable', second, { ...asked, spent: new Set<Candidate>() })).toBe(first)
    expect(nextCandidate('unreachable', second, { ...asked, spent: new Set([first]) })).toBe(second)
  })

  test.each(['overloaded', 'failed', 'unreachable'] as const)(
    'After a failure of the kind %s, the caller’s own account is asked elsewhere, never the platform’s.',
    (kind) => {
      expect(next(kind, mine, [mine, first])).toBeNull()
      expect(next(kind, mine, [mine, mineElsewhere, first])).toBe(mineElsewhere)
    },
  )

  test.each(['auth', 'quota'] as const)(
    'After a failure of the kind %s, the same key is not tried elsewhere.',
    (kind) => {
      expect(next(kind, mine, [mine, mineElsewhere, first])).toBe(first)
      expect(next(kind, mine, [mine, another, first])).toBe(another)
      expect(next(kind, mine, [mine, mineElsewhere])).toBeNull()
    },
  )

  test('After a rate limit, the same key may serve another model.', () => {
    expect(next('rate_limit', mine, [mine, mineElsewhere, first])).toBe(mineElsewhere)
  })

  test('After a failure without tries left, only the platform’s account follows the caller’s.', () => {
    expect(next('auth', mine, [mine, another, first], false)).toBe(first)
  })

  test('After a failure of the platform’s account, the caller’s is not asked again.', () => {
    expect(next('auth', first, [mine, first])).toBeNull()
  })
})

test('The caller’s own account comes first, each side in the order it had.', () => {
  const [a, b, c, d] = [platform('a'), own('b'), platform('c'), own('d')]
  expect(ownAccountFirst([a, b, c, d])).toEqual([b, d, a, c])
})

describe('The wait before a place that gave no connection is asked again', () => {
  test.each([
    ['an eighth of a second at least', 0, 0, 0, 125],
    ['a quarter of a second at most', 0, 0, 1, 250],
    ['twice as long before each later time', 2, 0, 1, 1_000],
    ['as long as the operator says', 0, 2_000, 1, 2_000],
    ['no more than five seconds', 6, 0, 0.5, null],
  ] as const)(
    'The wait before a place that gave no connection is asked again is %s.',
    (_, tries, least, random, wait) => {
      expect(waitBefore(tries, least, random)).toBe(wait)
    },
  )
})
