/**
 * What processes tell each other of deployments: whom one of them spares all spare, and once one had an answer all ask again. Through
 * Redis, where there is one. Nobody waits for it, and it fails open: where Redis is away or slow, each process goes by what it saw.
 */
import type { Redis } from 'ioredis'
import { LONGEST_MS } from './cooldown.ts'

/** A deployment is spared for so many milliseconds from now on; 0: not any more. */
export interface Spared {
  id: string
  ms: number
}

export interface SparedNews {
  tell(news: Spared): void
  close(): void
}

export interface NewsParts {
  /** A connection of its own for each call: one that listens can't be asked. */
  connect: () => Redis
  /** By which a process knows its own words. */
  self: string
  /** Of what is told about others, nothing is heard. */
  ids: ReadonlySet<string>
  hear(news: Spared): void
}

const CHANNEL = 'tollgate:spared'
const keyOf = (id: string) => `tollgate:spared:${id}`

export function createSparedNews({ connect, self, ids, hear }: NewsParts): SparedNews {
  const redis = connect()
  const listener = connect()
  // Each time it is found again: what was said meanwhile stands in the keys.
  listener.on('ready', () => void listener.subscribe(CHANNEL).then(() => catchUp(redis, ids, hear), ignore))
  listener.on('message', (_, text) => {
    const news = readNews(text, self)
    if (news !== null && ids.has(news.id)) hear(news)
  })
  return {
    tell({ id, ms }) {
      if (ms === 0) redis.del(keyOf(id)).catch(ignore)
      else redis.set(keyOf(id), '1', 'PX', Math.ceil(ms)).catch(ignore)
      redis.publish(CHANNEL, JSON.stringify({ from: self, id, ms: Math.ceil(ms) })).catch(ignore)
    },
    close() {
      redis.disconnect()
      listener.disconnect()
    },
  }
}

async function catchUp(redis: Redis, ids: ReadonlySet<string>, hear: NewsParts['hear']): Promise<void> {
  await Promise.all(
    [...ids].map(async (id) => {
      const ms = await redis.pttl(keyOf(id)).catch(() => 0)
      if (ms > 0) hear({ id, ms: Math.min(ms, LONGEST_MS) })
    }),
  )
}

/** Null for our own, and for what is no news. */
function readNews(text: string, self: string): Spared | null {
  try {
    const { from, id, ms } = JSON.parse(text)
    const isNews = typeof id === 'string' && Number.isInteger(ms) && ms >= 0 && ms <= LONGEST_MS
    return isNews && from !== self ? { id, ms } : null
  } catch {
    return null
  }
}

function ignore(): void {}
