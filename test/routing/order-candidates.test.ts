/** The order in which the deployments of a call are tried. */
import { describe, expect, test } from 'vitest'
import type { Deployment } from '../../src/config/config.ts'
import { orderCandidates } from '../../src/routing/order-candidates.ts'
import type { RoutedCandidate } from '../../src/routing/route.ts'
import { seeded } from '../support/random.ts'

function candidate(id: string, weight: number | null = null, group = 'gpt'): RoutedCandidate {
  return { group, deployment: { id, weight } as Deployment }
}

const idsOf = (candidates: readonly RoutedCandidate[]) => candidates.map(({ deployment }) => deployment.id)

/** How often each is first, of a thousand calls. */
function firsts(candidates: readonly RoutedCandidate[]): Record<string, number> {
  const random = seeded(7)
  const count: Record<string, number> = {}
  for (let call = 0; call < 1_000; call += 1) {
    const first = idsOf(orderCandidates(candidates, random))[0] ?? ''
    count[first] = (count[first] ?? 0) + 1
  }
  return count
}

describe('The candidates of a call', () => {
  test('The candidates of a call are all tried, each once.', () => {
    const order = orderCandidates([candidate('a'), candidate('b'), candidate('c')], seeded(1))
    expect(idsOf(order).sort()).toEqual(['a', 'b', 'c'])
  })

  test('The candidates of a call share the calls of their group evenly where no weights are set.', () => {
    const { a = 0, b = 0 } = firsts([candidate('a'), candidate('b')])
    expect(a + b).toBe(1_000)
    expect(Math.abs(a - 500)).toBeLessThan(50)
  })

  test('The candidates of a call share the calls of their group by weight.', () => {
    const { a = 0, b = 0 } = firsts([candidate('a', 3), candidate('b', 1)])
    expect(a + b).toBe(1_000)
    expect(Math.abs(a - 750)).toBeLessThan(50)
  })

  test('The candidates of a call of a weight of zero are tried last, and are tried.', () => {
    const order = orderCandidates([candidate('never', 0), candidate('always', 1)], seeded(3))
    expect(idsOf(order)).toEqual(['always', 'never'])
  })

  test('The candidates of a call of a group come before those of the group that stands in for it, whatever their weights.', () => {
    const candidates = [candidate('a', 1), candidate('b', 1), candidate('other', 1_000, 'fallback')]
    for (let seed = 1; seed <= 50; seed += 1)
      expect(idsOf(orderCandidates(candidates, seeded(seed))).at(-1)).toBe('other')
  })
})
