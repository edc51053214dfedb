/**
 * Counts the keys that nobody has, for each address they came from: an IPv4 address, or the /64 that one site has of IPv6. It is not
 * asked about known keys, so that everybody behind a proxy or a company's one address is served whatever their neighbours try.
 */
import { isIPv6 } from 'node:net'
import { LRUCache } from 'lru-cache'
import { TollgateError } from '../http/errors.ts'

const WINDOW_MS = 60_000
const ADDRESSES_MAX = 20_000

export interface UnknownKeys {
  count(address: string): void
  /** @throws {TollgateError} 429 beyond the limit. */
  refuse(address: string): void
}

export function createUnknownKeys(perMinute: number, now: () => number): UnknownKeys {
  const counted = new LRUCache<string, { count: number; until: number }>({ max: ADDRESSES_MAX })
  const current = (network: string) => {
    const known = counted.get(network)
    return known === undefined || known.until <= now() ? null : known
  }
  return {
    count(address) {
      const network = networkOf(address)
      const known = current(network)
      if (known === null) counted.set(network, { count: 1, until: now() + WINDOW_MS })
      else known.count += 1
    },
    refuse(address) {
      const known = current(networkOf(address))
      if (known !== null && known.count > perMinute) throw tooMany(Math.max(1, Math.ceil((known.until - now()) / 1000)))
    },
  }
}

/** What one site owns. */
export function networkOf(address: string): string {
  if (!isIPv6(address)) return address
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  if (mapped?.[1] !== undefined) return mapped[1]
  const [bare = ''] = address.split('%')
  const [head = '', tail = ''] = bare.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === '' ? [] : tail.split(':')
  const zeros = bare.includes('::') ? Array<string>(8 - left.length - right.length).fill('0') : []
  return [...left, ...zeros, ...right].slice(0, 4).join(':').toLowerCase()
}

function tooMany(seconds: number): TollgateError {
  return new TollgateError(
    429,
    'too_many_unknown_keys',
    'Too many API keys that do not exist were tried from your address. Check your key and try again later.',
    {
      headers: {
        'Retry-After': `${seconds}`,
        'X-RateLimit-Reset': `${Math.floor(Date.now() / 1000) + seconds}`,
      },
      limit: 'unknown_keys',
    },
  )
}
