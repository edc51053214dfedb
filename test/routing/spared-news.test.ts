/** What processes tell each other of deployments, through a real Redis that is there, hangs, is gone and comes back. */
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { connectRedis } from '../../src/db/redis.ts'
import { createSparedNews, type Spared, type SparedNews } from '../../src/routing/spared-news.ts'
import { redisInstalled, startRedis, type TestRedis } from '../support/redis.ts'

const IDS = new Set(['one', 'two'])

describe.skipIf(!redisInstalled())('Two processes with one Redis', () => {
  let redis: TestRedis
  let asking: Redis
  const open: SparedNews[] = []

  beforeAll(async () => {
    redis = await startRedis()
    asking = new Redis(redis.url, { retryStrategy: () => 50 })
    asking.on('error', () => {})
  })
  afterEach(async () => {
    for (const news of open.splice(0)) news.close()
    await asking.flushall()
  })
  afterAll(async () => {
    asking.disconnect()
    await redis.stop()
  })

  function join(self: string): { news: SparedNews; heard: Spared[] } {
    const heard: Spared[] = []
    const connect = () => connectRedis(redis.url, () => {})
    const news = createSparedNews({ connect, self, ids: IDS, hear: (one) => heard.push(one) })
    open.push(news)
    return { news, heard }
  }

  const listening = (count: number) =>
    vi.waitFor(
      async () => expect(await asking.pubsub('NUMSUB', 'tollgate:spared')).toEqual(['tollgate:spared', count]),
      {
        timeout: 10_000,
      },
    )

  test('What one says the other hears, and not itself.', async () => {
    const [a, b] = [join('a'), join('b')]
    await listening(2)
    a.news.tell({ id: 'one', ms: 5_000.2 })
    a.news.tell({ id: 'one', ms: 0 })
    await vi.waitFor(() => expect(b.heard).toHaveLength(2))
    expect(b.heard).toEqual([
      { id: 'one', ms: 5_001 },
      { id: 'one', ms: 0 },
    ])
    b.news.tell({ id: 'two', ms: 10 })
    await vi.waitFor(() => expect(a.heard).toEqual([{ id: 'two', ms: 10 }]))
    expect(b.heard).toHaveLength(2)
  })

  test('Who comes later hears of who is spared yet, and of nobody who is not.', async () => {
    const { news } = join('a')
    await listening(1)
    news.tell({ id: 'one', ms: 600_000 })
    news.tell({ id: 'two', ms: 600_000 })
    news.tell({ id: 'two', ms: 0 })
    await vi.waitFor(async () => expect(await asking.keys('tollgate:spared:*')).toEqual(['tollgate:spared:one']))
    const { heard } = join('b')
    await vi.waitFor(() => expect(heard).toHaveLength(1))
    expect(heard[0]?.id).toBe('one')
    expect(heard[0]?.ms).toBeGreaterThan(500_000)
  })

  test('What is no news, or is about a deployment that is not here, is not heard.', async () => {
    const { heard } = join('a')
    await listening(1)
    const strange = [
      '',
      '{',
      '7',
      '{"id":"one"}',
      '{"from":"b","id":"one","ms":-1}',
      '{"from":"b","id":"one","ms":1e12}',
    ]
    for (const text of [...strange, '{"from":"b","id":"three","ms":1}']) await asking.publish('tollgate:spared', text)
    await asking.publish('tollgate:spared', '{"from":"b","id":"two","ms":7}')
    await vi.waitFor(() => expect(heard).toEqual([{ id: 'two', ms: 7 }]))
  })

  test('A Redis that hangs holds up nobody, and what it was told it says when it goes on.', async () => {
    const [a, b] = [join('a'), join('b')]
    await listening(2)
    redis.send('SIGSTOP')
    a.news.tell({ id: 'one', ms: 5_000 })
    redis.send('SIGCONT')
    await vi.waitFor(() => expect(b.heard).toEqual([{ id: 'one', ms: 5_000 }]))
  })

  test('A Redis that comes back is heard again.', async () => {
    const [a, b] = [join('a'), join('b')]
    await listening(2)
    const port = Number(new URL(redis.url).port)
    await redis.stop()
    a.news.tell({ id: 'one', ms: 5_000 })
    redis = await startRedis(port)
    await listening(2)
    a.news.tell({ id: 'two', ms: 5_000 })
    await vi.waitFor(() => expect(b.heard.map(({ id }) => id)).toContain('two'))
  })
})
