/** The order in which the deployments of a call are tried. */
import { describe, expect, test } from 'vitest'
import type { Deployment } from '../../src/config/config.ts'
import type { Strategy } from '../../src/config/routing-settings.ts'
import { byTags } from '../../src/routing/by-tags.ts'
import { orderCandidates } from '../../src/routing/order-candidates.ts'
import type { RoutedCandidate } from '../../src/routing/route.ts'
import type { Standing } from '../../src/routing/traffic.ts'
import { seeded } from '../support/random.ts'

type Facts = Partial<Omit<Standing, 'latency'>> & { latency?: number; cost?: bigint }
type Candidate = RoutedCandidate & { facts: Facts }

function candidate(id: string, deployment: Partial<Deployment> = {}, facts: Facts = {}): Candidate {
  const own = { rpm: null, tpm: null, weight: null, ...deployment, id }
  return { group: 'gpt', deployment: own as Deployment, facts }
}

function order(
  candidates: readonly Candidate[],
  random: () => number,
  strategy: Strategy = 'simple-shuffle',
  buffer = 0,
) {
  const factsOf = (id: string) => candidates.find(({ deployment }) => deployment.id === id)?.facts ?? {}
  return orderCandidates(candidates, {
    settings: { strategy, latency: { ttlMs: 1, buffer } },
    standing: (id) => {
      const { isAway = false, busy = 0, tokens = 0, requests = 0, latency = null } = factsOf(id)
      return { isAway, busy, tokens, requests, latency: () => latency }
    },
    costOf: ({ facts }) => facts.cost ?? 0n,
    stream: false,
    random,
  }).map(({ deployment }) => deployment.id)
}

/** How often each is first, of a thousand calls. */
function firsts(candidates: readonly Candidate[], strategy?: Strategy, buffer?: number): Record<string, number> {
  const random = seeded(7)
  const count: Record<string, number> = {}
  for (let call = 0; call < 1_000; call += 1) {
    const first = order(candidates, random, strategy, buffer)[0] ?? ''
    count[first] = (count[first] ?? 0) + 1
  }
  return count
}

const near = (count: number | undefined, expected: number) => expect(Math.abs((count ?? 0) - expected)).toBeLessThan(50)

describe('The candidates of a call', () => {
  test('The candidates of a call are all tried, each once.', () => {
    expect(new Set(order([candidate('a'), candidate('b'), candidate('c')], seeded(1)))).toEqual(
      new Set(['a', 'b', 'c']),
    )
  })

  test('The candidates of a call share the calls of their group evenly where no weights are set.', () => {
    near(firsts([candidate('a'), candidate('b')]).a, 500)
  })

  test.each([
    ['weight', { weight: 3, rpm: 1 }, { weight: 1, rpm: 1_000 }, 750],
    ['calls in a minute where no weight is set', { rpm: 300 }, { rpm: 100 }, 750],
    ['tokens in a minute where neither is', { tpm: 9_000 }, { tpm: 1_000 }, 900],
    ['the largest limit of the others where one has none', { rpm: null }, { rpm: 100 }, 500],
  ] as const)('The candidates of a call share the calls of their group by %s.', (_, a, b, expected) => {
    near(firsts([candidate('a', a), candidate('b', b)]).a, expected)
  })

  test('The candidates of a call of a weight of zero are tried last, and are tried.', () => {
    expect(order([candidate('never', { weight: 0 }), candidate('always', { weight: 1 })], seeded(3))).toEqual([
      'always',
      'never',
    ])
  })

  test.each([
    ['least-busy', { busy: 2 }, { busy: 1 }],
    ['latency-based-routing', { latency: 30 }, { latency: 20 }],
    ['latency-based-routing', { latency: 30 }, {}],
    ['usage-based-routing', { tokens: 10, requests: 1 }, { tokens: 9, requests: 5 }],
    ['usage-based-routing', { tokens: 10, requests: 2 }, { tokens: 10, requests: 1 }],
    ['cost-based-routing', { cost: 2n }, { cost: 1n }],
  ] as const)('By %s one with %o comes after one with %o, however large its weight.', (strategy, later, first) => {
    expect(firsts([candidate('later', { weight: 1e9 }, later), candidate('first', {}, first)], strategy)).toEqual({
      first: 1_000,
    })
  })

  test('Latencies that are nearly the least share the calls.', () => {
    const candidates = [
      candidate('a', {}, { latency: 20 }),
      candidate('b', {}, { latency: 21 }),
      candidate('c', {}, { latency: 30 }),
    ]
    const { a, b, c } = firsts(candidates, 'latency-based-routing', 0.1)
    near(a, 500)
    near(b, 500)
    expect(c).toBeUndefined()
  })

  test('The lowest order comes first, those without one last, and those that are spared after all.', () => {
    const candidates = [
      candidate('without', { weight: 1e9 }),
      candidate('two', { order: 2 }),
      candidate('spared', { order: 1 }, { isAway: true }),
      candidate('one', { order: 1 }),
    ]
    for (let seed = 1; seed <= 50; seed += 1)
      expect(order(candidates, seeded(seed))).toEqual(['one', 'two', 'without', 'spared'])
  })
})

describe('A request with tags', () => {
  const all = [
    candidate('free', { tags: ['free'] }),
    candidate('both', { tags: ['free', 'eu'] }),
    candidate('usual', { tags: ['default'] }),
    candidate('none'),
  ]
  test.each([
    { tags: ['free'], matchAnyTag: true, chosen: ['free', 'both'] },
    { tags: ['free', 'eu'], matchAnyTag: true, chosen: ['free', 'both'] },
    { tags: ['free', 'eu'], matchAnyTag: false, chosen: ['both'] },
    { tags: ['paid'], matchAnyTag: true, chosen: ['usual'] },
    { tags: [], matchAnyTag: true, chosen: ['usual'] },
  ])('A request with the tags $tags may have $chosen.', ({ tags, matchAnyTag, chosen }) => {
    const found = byTags(all, tags, { tagFiltering: true, matchAnyTag })
    expect(found.map(({ deployment }) => deployment.id)).toEqual(chosen)
    expect(byTags(all, tags, { tagFiltering: false, matchAnyTag })).toBe(all)
  })
})
