/**
 * What is fetched for calls: how many fetch at once, and the bytes, which stay in memory until the call is over. Of both no
 * organization has more than it leaves free, so that one alone takes half, two a third each, and whoever comes next finds some.
 */
import { TollgateError } from '../http/errors.ts'
import type { Limit } from '../http/limit.ts'

const RETRY_SECONDS = 2

export interface FetchBudgetLimits {
  /** Calls that fetch at once. */
  fetches: number
  bytes: number
}

/** What one call fetches. */
export interface Fetching {
  /** As they arrive. @throws {TollgateError} 429, 503. */
  take(bytes: number): void
  /** Everything is fetched, or given up; its bytes stay. */
  done(): void
  /** The call is over; once. */
  release(): void
}

export interface FetchBudget {
  /** @throws {TollgateError} 429, 503. */
  open(organizationId: string): Fetching
}

interface Share {
  fetches: number
  bytes: number
}

export function createFetchBudget({ fetches, bytes }: FetchBudgetLimits): FetchBudget {
  const shares = new Map<string, Share>()
  const total: Share = { fetches: 0, bytes: 0 }

  function add(organization: string, more: Partial<Share>): void {
    const share = shares.get(organization) ?? { fetches: 0, bytes: 0 }
    shares.set(organization, share)
    for (const sum of [share, total]) {
      sum.fetches += more.fetches ?? 0
      sum.bytes += more.bytes ?? 0
    }
    if (share.fetches === 0 && share.bytes === 0) shares.delete(organization)
  }

  return {
    open(organization) {
      const free = fetches - total.fetches
      if (free <= 0) throw full('fetches')
      if ((shares.get(organization)?.fetches ?? 0) >= free) throw tooMuch('organization_fetches')
      add(organization, { fetches: 1 })
      let own = 0
      let isDone = false
      const done = () => {
        if (!isDone) add(organization, { fetches: -1 })
        isDone = true
      }
      return {
        take(more) {
          const left = bytes - total.bytes - more
          if (left < 0) throw full('fetched_bytes')
          if ((shares.get(organization)?.bytes ?? 0) + more > left) throw tooMuch('organization_fetched_bytes')
          own += more
          add(organization, { bytes: more })
        },
        done,
        release() {
          done()
          add(organization, { bytes: -own })
        },
      }
    },
  }
}

const WHAT = 'Send the content inline, as a data: URL, or try again shortly.'

function tooMuch(limit: Limit): TollgateError {
  return new TollgateError(
    429,
    'too_much_media',
    `Your organization's calls fetch as much as they may by now. ${WHAT}`,
    {
      headers: {
        'Retry-After': `${RETRY_SECONDS}`,
        'X-RateLimit-Reset': `${Math.ceil(Date.now() / 1000) + RETRY_SECONDS}`,
      },
      limit,
    },
  )
}

function full(limit: Limit): TollgateError {
  return new TollgateError(503, 'too_busy', `This instance fetches as much as it can by now. ${WHAT}`, {
    headers: { 'Retry-After': `${RETRY_SECONDS}` },
    limit,
  })
}
