/** How often a caller may ask in a minute: management routes by route, calls of models by key, organization and plan. */
import type { RateLimitSettings } from '../config/config.ts'
import { TollgateError } from '../http/errors.ts'
import type { Limit } from '../http/limit.ts'
import type { Caller } from '../identity/caller.ts'
import type { Spender } from '../identity/spender.ts'
import { type Bound, boundsOfModel, boundsOfSpenders, createBoundsOf, WHOSE } from './caller-bounds.ts'
import type { Counted, RateWindows } from './rate-windows.ts'

/** A limit of one kind of request. */
export interface RateRule {
  /** What is counted together. */
  name: string
  most: number
  /** What is counted, as the error names it: `tests`. Left out: requests. */
  what?: string
}

/** As `X-RateLimit-*` state it. */
export interface RateState {
  limit: number
  remaining: number
  /** Seconds since 1970, in the future. */
  reset: number
}

export interface RateLimits {
  /** The limit of a management route. @param path as it is documented. */
  ruleOf(method: string, path: string): RateRule
  /** Counts one request. @param who as actorOf names a caller. @throws {TollgateError} 429. */
  request(rule: RateRule, who: string): Promise<RateState>
  /**
   * Counts one call of a model; null where nothing limits its caller. Returns the limit of requests that has least left, null where only
   * tokens are limited. @throws {TollgateError} 429.
   */
  call(caller: Caller): Promise<RateState | null> | null
  /** Counts one call of a customer; null where nothing limits them. @throws {TollgateError} 429. */
  spender(spender: Spender): Promise<RateState | null> | null
  /** Counts one call of this model group; null where nothing limits it for the caller. @throws {TollgateError} 429. */
  ofModel(caller: Caller, modelGroup: string): Promise<unknown> | null
  /** Counts what a call of this model group used. */
  tokens(caller: Caller, modelGroup: string, tokens: number): void
}

/** @param now milliseconds since 1970. */
export function createRateLimits(settings: RateLimitSettings, windows: RateWindows, now: () => number): RateLimits {
  const limitsOf = createBoundsOf(settings.calls)

  /** What bounds a caller's calls, the caller's own first. Empty for nearly everyone. */
  function boundsOf(caller: Caller): Bound[] {
    const { own, organization } = limitsOf(caller)
    const { organizationId, userId, keyId } = caller
    const bounds = [
      keyId === null
        ? { name: `user ${organizationId} ${userId}`, limits: own, whose: 'this user' }
        : { name: `key ${keyId}`, limits: own, whose: 'this key' },
      ...boundsOfSpenders(caller).map(({ kind, id, limits }) => ({
        name: `${kind} ${id}`,
        limits,
        whose: WHOSE[kind],
      })),
      { name: `organization ${organizationId}`, limits: organization, whose: 'this organization' },
    ]
    return bounds.filter(({ limits: one }) => one.requestsPerMinute !== null || one.tokensPerMinute !== null)
  }

  async function count(bounds: readonly Bound[]): Promise<RateState | null> {
    let narrowest: RateState | null = null
    for (const { name, limits, whose } of bounds) {
      if (limits.tokensPerMinute !== null) {
        const used = await windows.look(`tokens ${name}`)
        const rule = { name, most: limits.tokensPerMinute, what: `tokens of ${whose}` }
        if (used.count >= rule.most) throw exceeded(rule, used, now(), 'tokens_per_minute')
      }
      if (limits.requestsPerMinute !== null) {
        const rule = { name, most: limits.requestsPerMinute, what: `calls of ${whose}` }
        const counted = await windows.note(`calls ${name}`, 1)
        if (counted.count > rule.most) throw exceeded(rule, counted, now(), 'calls_per_minute')
        const state = stateOf(rule, counted, now())
        if (narrowest === null || state.remaining < narrowest.remaining) narrowest = state
      }
    }
    return narrowest
  }

  return {
    ruleOf(method, path) {
      const most = method === 'GET' ? settings.get : method === 'POST' ? settings.post : settings.change
      return { name: `${method} ${path}`, most }
    },
    async request(rule, who) {
      const counted = await windows.add(`${rule.name} ${who}`, 1)
      if (counted.count > rule.most) throw exceeded(rule, counted, now(), 'requests_per_minute')
      return stateOf(rule, counted, now())
    },
    call(caller) {
      const bounds = boundsOf(caller)
      return bounds.length === 0 ? null : count(bounds)
    },
    spender({ kind, id, limits }) {
      const isBound = limits.requestsPerMinute !== null || limits.tokensPerMinute !== null
      return isBound ? count([{ name: `${kind} ${id}`, limits, whose: WHOSE[kind] }]) : null
    },
    ofModel(caller, modelGroup) {
      const bounds = boundsOfModel(caller, modelGroup)
      return bounds.length === 0 ? null : count(bounds)
    },
    tokens(caller, modelGroup, tokens) {
      if (tokens <= 0) return
      for (const { name, limits } of [...boundsOf(caller), ...boundsOfModel(caller, modelGroup)])
        if (limits.tokensPerMinute !== null) void windows.note(`tokens ${name}`, tokens)
    },
  }
}

function stateOf({ most }: RateRule, { count, msLeft }: Counted, now: number): RateState {
  return { limit: most, remaining: Math.max(0, most - count), reset: Math.ceil((now + msLeft) / 1000) }
}

/** To be removed from a 429 of another limit: it states the limit that refused, and no other. */
export const RATE_HEADERS = ['X-RateLimit-Limit', 'X-RateLimit-Remaining', 'X-RateLimit-Reset'] as const

/** As headers. */
export function rateHeaders({ limit, remaining, reset }: RateState): Record<string, string> {
  return {
    'X-RateLimit-Limit': String(limit),
    'X-RateLimit-Remaining': String(remaining),
    'X-RateLimit-Reset': String(reset),
  }
}

function exceeded(rule: RateRule, counted: Counted, now: number, limit: Limit): TollgateError {
  const state = stateOf(rule, counted, now)
  const seconds = Math.ceil(counted.msLeft / 1000)
  const message =
    rule.what === undefined
      ? `Rate limit exceeded. Try again in ${seconds} seconds.`
      : `Rate limit exceeded. Maximum ${rule.most} ${rule.what} per minute.`
  const headers = { 'Retry-After': String(seconds), ...rateHeaders({ ...state, remaining: 0 }) }
  return new TollgateError(429, 'rate_limit_exceeded', message, { headers, limit })
}
