/** What may be used without asking the database again, on a clock that only moves when told. */
import { beforeEach, expect, test } from 'vitest'
import { createKeyCache, type Found, type KeyCache } from '../../src/vault/key-cache.ts'

let now = 0
let heardUntil = 0
let cache: KeyCache
beforeEach(() => {
  now = 0
  heardUntil = Number.POSITIVE_INFINITY
  cache = createKeyCache(
    2,
    () => now,
    () => heardUntil,
  )
})
const fill = (subject: string, found: Found = { key: subject }) => cache.fill(subject, async () => found)

test('A key is kept for five minutes while changes are heard, and for one second while they are not.', async () => {
  await fill('a')
  now = 299_999
  expect(cache.get('a')).toEqual({ key: 'a' })
  now = 300_000
  expect(cache.get('a')).toBeUndefined()
  await fill('a')
  heardUntil = now
  now += 999
  expect(cache.get('a')).toEqual({ key: 'a' })
  now += 1
  expect(cache.get('a')).toBeUndefined()
  // Heard again on the same connection: nothing was missed.
  heardUntil = now + 1_000
  expect(cache.get('a')).toEqual({ key: 'a' })
})

test('The absence of a key is remembered as long as a key; a failure for one second.', async () => {
  await fill('none', { key: null })
  await fill('bad', { failure: new Error('bad') })
  now = 999
  expect([cache.get('none'), cache.get('bad')]).toEqual([{ key: null }, { failure: new Error('bad') }])
  now = 1_000
  expect([cache.get('none'), cache.get('bad')]).toEqual([{ key: null }, undefined])
})

test('The key that was not used for the longest time is dropped first.', async () => {
  await fill('a')
  await fill('b')
  cache.get('a')
  await fill('c')
  expect([cache.get('a'), cache.get('b'), cache.get('c')]).toEqual([{ key: 'a' }, undefined, { key: 'c' }])
})

test('One read serves all who ask; a key that changed meanwhile is handed on and not kept.', async () => {
  const answers: ((found: Found) => void)[] = []
  const read = () => new Promise<Found>((resolve) => answers.push(resolve))
  const first = cache.fill('a', read)
  expect(cache.fill('a', read)).toBe(first)
  cache.forget('a')
  const second = cache.fill('a', read)
  answers[1]?.({ key: 'new' })
  answers[0]?.({ key: 'old' })
  expect([await first, await second]).toEqual([{ key: 'old' }, { key: 'new' }])
  expect(cache.get('a')).toEqual({ key: 'new' })
})

test('Nobody joins a read that is older than a second, unless changes are heard.', async () => {
  const answers: ((found: Found) => void)[] = []
  const read = () => new Promise<Found>((resolve) => answers.push(resolve))
  heardUntil = 0
  const first = cache.fill('a', read)
  now = 1_000
  const second = cache.fill('a', read)
  expect(second).not.toBe(first)
  answers[0]?.({ key: 'old' })
  answers[1]?.({ key: 'new' })
  expect([await first, await second]).toEqual([{ key: 'old' }, { key: 'new' }])
})

test('A read that fails is not kept, and the next one tries again.', async () => {
  await expect(cache.fill('a', () => Promise.reject(new Error('away')))).rejects.toThrow('away')
  expect(cache.get('a')).toBeUndefined()
  expect(await fill('a')).toEqual({ key: 'a' })
})
