import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compareSpecificity, fillPattern, matchPattern } from '../../src/routing/pattern.ts'

const text = (alphabet: string, maxLength: number) => fc.string({ unit: fc.constantFrom(...alphabet), maxLength })

test('A pattern matches as a greedy regular expression would, where every star is at least one character.', () => {
  fc.assert(
    fc.property(text('ab*', 8), text('ab', 12), (pattern, name) => {
      const expression = new RegExp(`^${pattern.replaceAll('*', '(.+)')}$`)
      expect(matchPattern(pattern, name)).toEqual(expression.exec(name)?.slice(1) ?? null)
    }),
    { numRuns: 5000 },
  )
})

test('What matched, put back into the pattern, is the name.', () => {
  fc.assert(
    fc.property(text('ab*', 8), text('ab', 12), (pattern, name) => {
      const texts = matchPattern(pattern, name)
      if (texts !== null) expect(fillPattern(pattern, texts)).toBe(name)
    }),
  )
})

test('A text with a dollar sign is put in as it is.', () => {
  expect(fillPattern('a-*-*', ['$&', '$1'])).toBe('a-$&-$1')
})

test('The most specific pattern has the most text before the first star, then the fewest stars, then the most text.', () => {
  const sorted = ['*', 'a*', 'ab*', 'ab**', 'ab*c'].sort(compareSpecificity)
  expect(sorted).toEqual(['ab*c', 'ab*', 'ab**', 'a*', '*'])
})
