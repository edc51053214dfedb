/** Keys that nobody has are counted for the address they come from; keys somebody has pass from any address, and are never forgotten for them. */
import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { createUnknownKeys, networkOf } from '../../src/admission/unknown-keys.ts'
import { hashKey, newApiKey } from '../../src/identity/api-key.ts'
import { type FoundKeys, type KeyRecord, nameOf } from '../../src/identity/find-key.ts'
import { createKeyBook } from '../../src/identity/key-book.ts'
import { growth, scrape } from '../observe/samples.ts'
import { useProduct } from '../support/product.ts'
import { get, MASTER_KEY } from '../support/tollgate.ts'

const product = useProduct(() => ({ tollgate: { limits: { unknown_keys_per_minute: 5 } } }))
const nobodys = () => `uc_${randomBytes(32).toString('hex')}`
const status = async (key: string | null) => (await get(product.tollgate, key, '/v1/models')).status

test('Unknown keys beyond the limit get 429, and everybody else is served as before.', async () => {
  const before = await scrape(product.tollgate)
  const known = await product.db.seedOrganization({ credits: 1, users: { alice: 1 } })
  expect(await status(known.keys.alice)).toBe(200)
  const tried = []
  for (let at = 0; at < 8; at += 1) tried.push(await status(nobodys()))
  expect(tried).toEqual([401, 401, 401, 401, 401, 429, 429, 429])
  const refused = await get(product.tollgate, nobodys(), '/v1/models')
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(refused.json()).toMatchObject({ error: { code: 'too_many_unknown_keys' } })
  expect(growth(before, await scrape(product.tollgate), 'tollgate_refused_total')).toEqual({
    'tollgate_refused_total{limit="unknown_keys"}': 4,
  })

  const met = await product.db.seedOrganization({ credits: 1, users: { alice: 1 } })
  expect([await status(known.keys.alice), await status(met.keys.alice), await status(MASTER_KEY)]).toEqual([
    200, 200, 200,
  ])
  expect([await status(null), await status('another-products-key')]).toEqual([401, 401])
})

test('A thousand unknown keys at once do not keep a new key that is good from being found.', async () => {
  const { keys } = await product.db.seedOrganization({ credits: 1, users: { alice: 1 } })
  const flood = Promise.all(Array.from({ length: 1_000 }, () => status(nobodys())))
  expect(await status(keys.alice)).toBe(200)
  expect(new Set(await flood)).toEqual(new Set([429]))
})

describe('what is remembered', () => {
  const record = { isActive: true } as KeyRecord
  const good = hashKey(newApiKey().key)
  const stranger = () => hashKey(nobodys())
  const queries: number[] = []
  let now = 0
  const findKeys = async (hashes: readonly Buffer[]): Promise<FoundKeys> => {
    queries.push(hashes.length)
    return new Map(hashes.filter((hash) => hash === good).map((hash) => [nameOf(hash), record]))
  }
  const book = () => createKeyBook({ findKeys, unknownKeys: createUnknownKeys(1e9, () => now), now: () => now })

  test('A good key stays remembered, however many bad ones are sent.', async () => {
    const { find } = book()
    expect(await find(good, 'a')).toBe(record)
    queries.length = 0
    for (let at = 0; at < 200; at += 1) await Promise.all(Array.from({ length: 100 }, () => find(stranger(), 'b')))
    queries.length = 0
    expect(await find(good, 'a')).toBe(record)
    expect(queries).toEqual([])
  })

  test('A remembered key is looked up again before it expires, once, in one query for all keys that are due, and no call waits.', async () => {
    const found = new Map([good, hashKey(newApiKey().key)].map((hash) => [hash, { ...record }]))
    const answers: PromiseWithResolvers<FoundKeys>[] = []
    const findKeys = async (hashes: readonly Buffer[]): Promise<FoundKeys> => {
      queries.push(hashes.length)
      answers.push(Promise.withResolvers())
      return answers.at(-1)!.promise
    }
    const all = new Map([...found].map(([hash, record]) => [nameOf(hash), record]))
    const { find } = createKeyBook({ findKeys, unknownKeys: createUnknownKeys(1e9, () => now), now: () => now })
    const [one, other] = [...found.keys()] as [Buffer, Buffer]
    const met = [find(one, 'a'), find(other, 'a')]
    answers[0]!.resolve(all)
    await expect.poll(() => answers.length).toBe(2)
    answers[1]!.resolve(all)
    await Promise.all(met)

    queries.length = 0
    now += 499
    await find(one, 'a')
    expect(queries).toEqual([])
    now += 1
    expect([await find(one, 'a'), await find(one, 'a'), await find(other, 'a')]).toEqual([record, record, record])
    expect(queries).toEqual([1])
    // The first answer is old by now; the second key waited for its turn.
    answers[2]!.resolve(new Map())
    await expect.poll(() => queries).toEqual([1, 1])
    answers[3]!.resolve(all)
    const gone = find(one, 'a')
    await expect.poll(() => answers.length).toBe(5)
    answers[4]!.resolve(new Map())
    expect(await gone).toBeNull()
  })

  test('While the database does not answer, a remembered key is believed for a second at most, counted from when it was looked up.', async () => {
    const database: { isAway: boolean } = { isAway: false }
    const findKeys = async (hashes: readonly Buffer[]): Promise<FoundKeys> => {
      if (database.isAway) throw new Error('away')
      return new Map(hashes.map((hash) => [nameOf(hash), record]))
    }
    const { find } = createKeyBook({ findKeys, unknownKeys: createUnknownKeys(1e9, () => now), now: () => now })
    await find(good, 'a')
    database.isAway = true
    now += 999
    expect(await find(good, 'a')).toBe(record)
    now += 1
    await expect(find(good, 'a')).rejects.toThrow('away')
    database.isAway = false
    expect(await find(good, 'a')).toBe(record)
  })

  test('A remembered key is looked up again after a second by itself, while unknown keys wait together in one query.', async () => {
    const { find } = book()
    await find(good, 'a')
    now += 1_001
    queries.length = 0
    await Promise.all([...Array.from({ length: 300 }, () => find(stranger(), 'b')), find(good, 'a'), find(good, 'c')])
    expect(queries).toEqual([1, 1, 256, 43])
  })
})

test('Unknown keys are counted for an IPv4 address and for a /64 of IPv6.', () => {
  const networks = [
    '192.0.2.7',
    '::ffff:192.0.2.7',
    '2001:db8:1:2:3:4:5:6',
    '2001:db8:1:2::9',
    'fe80::1%eth0',
    '::1',
    '1::',
    '',
  ]
  expect(networks.map(networkOf)).toEqual([
    '192.0.2.7',
    '192.0.2.7',
    '2001:db8:1:2',
    '2001:db8:1:2',
    'fe80:0:0:0',
    '0:0:0:0',
    '1:0:0:0',
    '',
  ])
})

test('A minute later the count of an address begins anew.', () => {
  let now = 0
  const { count, refuse } = createUnknownKeys(1, () => now)
  for (const address of ['a', 'a', 'b']) count(address)
  expect(() => refuse('b')).not.toThrow()
  now = 59_000
  expect(() => refuse('a')).toThrow(
    expect.objectContaining({ status: 429, headers: expect.objectContaining({ 'Retry-After': '1' }) }),
  )
  now = 60_000
  expect(() => refuse('a')).not.toThrow()
})
