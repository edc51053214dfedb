/** Which groups stand in for one that failed. */
import { expect, test } from 'vitest'
import type { ProviderErrorKind } from '../../providers/provider.ts'
import type { Fallbacks } from '../../src/config/routing-settings.ts'
import { createDetours } from '../../src/routing/detours.ts'

const NONE: Fallbacks = { general: {}, contextWindow: {}, contentPolicy: {} }

function way(fallbacks: Partial<Fallbacks>, kinds: readonly ProviderErrorKind[], most = 5): (string | null)[] {
  const detours = createDetours({ ...NONE, ...fallbacks }, 'a', most)
  return kinds.map((kind) => detours.next(kind))
}

const failed = Array<ProviderErrorKind>(8).fill('failed')

test.each([
  ['in the order they are written', { a: ['b', 'c'] }, ['b', 'c', null]],
  ['each with its own behind it', { a: ['b', 'c'], b: ['d'] }, ['b', 'd', 'c', null]],
  ['each once, where they stand in for each other', { a: ['b'], b: ['c', 'a'], c: ['a', 'b'] }, ['b', 'c', null]],
  ['by the line of all groups, for one without a line', { '*': ['x'], b: ['c'] }, ['x', null]],
  ['by its own line alone, where there is one', { '*': ['x'], a: ['b'] }, ['b', 'x', null]],
  ['five at most', { a: ['b', 'c', 'd', 'e', 'f', 'g'] }, ['b', 'c', 'd', 'e', 'f', null]],
  ['nobody, where nothing is written', {}, [null]],
])('The fallbacks of a group are asked %s.', (_, general, expected) => {
  expect(way({ general }, failed.slice(0, expected.length))).toEqual(expected)
})

test.each([
  ['context_length', { contextWindow: { a: ['long'] } }, 'long'],
  ['content_filter', { contentPolicy: { a: ['lax'] } }, 'lax'],
  ['context_length', { contentPolicy: { a: ['lax'] } }, 'b'],
  ['context_length', { contextWindow: { other: ['long'] } }, null],
  ['failed', { contextWindow: { a: ['long'] } }, 'b'],
] as const)('After %s with %o the next group is %s.', (kind, fallbacks, expected) => {
  expect(way({ general: { a: ['b'] }, ...fallbacks }, [kind])).toEqual([expected])
})

test('A name that every object has is no fallback.', () => {
  const detours = createDetours({ ...NONE, general: { a: ['b'] } }, 'toString', 5)
  expect(detours.next('failed')).toBeNull()
})
