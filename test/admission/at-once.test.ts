/** What stands before work that anybody can ask for: so many at once, and so much memory. */
import { expect, test } from 'vitest'
import { createAtOnce } from '../../src/admission/at-once.ts'
import { createSharedBytes } from '../../src/admission/shared-bytes.ts'

const KB = 1024

test('Work beyond the limit of tasks at once is refused and not begun; each task that ends makes room, however it ends.', async () => {
  const atOnce = createAtOnce(2, 'people logging in', 'logins')
  const ends: ((isGood: boolean) => void)[] = []
  const work = () =>
    new Promise<string>((resolve, reject) => ends.push((isGood) => (isGood ? resolve('in') : reject(new Error('out')))))
  const first = atOnce(work)
  const second = atOnce(work)
  const refusal = {
    status: 503,
    code: 'too_many_logins',
    headers: { 'Retry-After': '2' },
    limit: 'logins',
    message: 'There are too many people logging in at this moment. Try again shortly.',
  }
  await expect(atOnce(work)).rejects.toMatchObject(refusal)
  expect(ends).toHaveLength(2)
  ends[0]!(false)
  await expect(first).rejects.toThrow('out')
  const third = atOnce(work)
  await expect(atOnce(work)).rejects.toMatchObject(refusal)
  for (const end of ends) end(true)
  expect(await Promise.all([second, third])).toEqual(['in', 'in'])
})

test('Bodies share the memory that they take beyond their first 64 kB, and give it back.', () => {
  const shared = createSharedBytes(100 * KB, 'webhook_memory')
  const [one, two, small] = [shared.open(), shared.open(), shared.open()]
  one.reserve(128 * KB)
  expect(() => two.reserve(128 * KB)).toThrow(
    expect.objectContaining({
      status: 503,
      headers: { 'Retry-After': '2', Connection: 'close' },
      limit: 'webhook_memory',
    }),
  )
  expect(small.reserve(64 * KB)).toBeNull()
  expect(two.reserve(100 * KB)).toBeNull()
  expect(() => one.reserve(129 * KB)).toThrow('under way')
  two.release()
  one.reserve(164 * KB)
  one.release()
  two.reserve(164 * KB)
})
