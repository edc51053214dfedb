/** The `tollgate:` section: settings that LiteLLM does not have. Every setting has a default; an unknown one is reported with the known names. */

import { readAllowedPlace } from '../http/allowed-place.ts'
import { DEFAULT_PRICES, readCreditsAdder, readMonthlyPrice, readStripe } from './billing-settings.ts'
import {
  type BillingSettings,
  type Leases,
  type Limits,
  type OutputCaps,
  type Plan,
  type PowerLevel,
  type TollgateSettings,
  UNKNOWN_OUTCOMES,
  type UnknownOutcome,
} from './config.ts'
import { readCors, readPublicUrl, readTrustedProxies } from './edges.ts'
import type { Field, NumberRule, Section } from './field.ts'
import { readOidc } from './oidc.ts'
import { readOutbox } from './outbox.ts'
import { readRateLimits } from './rate-limits.ts'
import { readServiceKeys } from './service-keys.ts'
import { readSessions, sharedRedisUrl } from './sessions.ts'
import { readTiers, readTimeZone } from './tiers.ts'

const MEGABYTE = 1_048_576
const NOTHING: ReadonlySet<string> = new Set()

const SECONDS: NumberRule = { what: 'a number of seconds', example: '30', moreThan: 0, most: 2_000_000 }
const WAIT: NumberRule = { what: 'a number of seconds, 0 or more', example: '5', least: 0, most: 2_000_000 }
const TOKENS: NumberRule = {
  what: 'a whole number of tokens, 1 or more',
  example: '4096',
  least: 1,
  whole: true,
  most: 100_000_000,
}
const COUNT: NumberRule = {
  what: 'a whole number, 1 or more',
  example: '1000',
  least: 1,
  whole: true,
  most: 100_000_000,
}
const MEMORY: NumberRule = { what: 'a number of megabytes', example: '256', moreThan: 0, most: 1_048_576 }
const MEGABYTES: NumberRule = { what: 'a number of megabytes, at most 1024', example: '32', moreThan: 0, most: 1024 }

/** The database refuses to remove entries that are younger. */
const AUDIT_DAYS: NumberRule = {
  what: 'a whole number of days, 90 or more',
  example: '400',
  least: 90,
  whole: true,
  most: 36_500,
}

/** The database removes details of no younger charges. */
const DETAILS_DAYS: NumberRule = {
  what: 'a whole number of days, 30 or more, or 0 for ever',
  example: '400',
  least: 0,
  whole: true,
  most: 36_500,
}
const EVENTS_DAYS: NumberRule = {
  what: 'a whole number of days, 1 or more',
  example: '30',
  least: 1,
  whole: true,
  most: 36_500,
}

const HOURS: NumberRule = { what: 'a number of hours, 0 or more', example: '24', least: 0, most: 87_600 }

/** 1 000 %: a larger markup is a typing error. */
const MOST_MARKUP = 10_000_000n
const MOST_LEVEL = 1_000_000_000n

const DEFAULT_MARKUPS: Readonly<Record<Plan, bigint>> = { platform: 500_000n, byok: 0n, hybrid: 500_000n }
const DEFAULT_LEVELS: Readonly<Record<PowerLevel, bigint>> = {
  eco: 500_000n,
  balanced: 1_000_000n,
  precision: 2_000_000n,
}

export function readTollgateSettings(place: Field, masterKey: string | null): TollgateSettings {
  const section = place.section()
  const field = (name: string): Field | null => section?.take(name) ?? null
  const { plans, planPrices } = readPlans(field('plans')?.section() ?? null)
  const redisUrl = sharedRedisUrl(place.source)
  const settings: TollgateSettings = {
    plans,
    tiers: readTiers(field('tiers')),
    timeZone: readTimeZone(field('time_zone')),
    billing: { planPrices, addCredits: readCreditsAdder(field('credits')), stripe: readStripe(place, field('stripe')) },
    powerLevels: readPowerLevels(field('power_levels')?.section() ?? null),
    allowBelowCost: field('allow_below_cost')?.flag() ?? false,
    unknownOutcome: readUnknownOutcome(field('unknown_outcome')),
    toolFees: readDollars(field('tool_fees')?.section() ?? null, 'dollars per use, 0 or more'),
    toolSurcharges: readDollars(field('tool_surcharges')?.section() ?? null, 'dollars per call, 0 or more'),
    caps: readCaps(field('caps')?.section() ?? null),
    leases: readLeases(field('leases')),
    limits: readLimits(field('limits')?.section() ?? null),
    readOnSeconds: readReadOn(field('read_on_seconds')?.section() ?? null),
    sessionHeaders: readHeaderNames(field('session_headers')),
    keptResponsesHours: field('kept_responses_hours')?.number(HOURS) ?? 0,
    auditLogDays: field('audit_log_days')?.number(AUDIT_DAYS) ?? 400,
    detailsDays: field('details_days')?.number(DETAILS_DAYS) ?? 0,
    eventsDays: field('events_days')?.number(EVENTS_DAYS) ?? 30,
    allowedAddresses: readAddresses(field('allowed_addresses')),
    serviceKeys: readServiceKeys(field('service_keys'), masterKey),
    outbox: readOutbox(field('outbox')),
    rateLimits: readRateLimits(field('rate_limits')),
    redisUrl,
    publicUrl: readPublicUrl(field('public_url')),
    corsOrigins: readCors(field('cors')),
    trustedProxies: readTrustedProxies(field('trusted_proxies')),
    oidc: readOidc(field('oidc')),
    sessions: readSessions(field('sessions'), redisUrl),
  }
  section?.finish(NOTHING, section.known)
  return settings
}

function readPlans(section: Section | null): Pick<TollgateSettings, 'plans'> & Pick<BillingSettings, 'planPrices'> {
  const read = (plan: Plan): ReadPlan => readPlan(section?.take(plan) ?? null, plan)
  const [platform, byok, hybrid] = [read('platform'), read('byok'), read('hybrid')]
  section?.finish(NOTHING, 'platform, byok, hybrid')
  return {
    plans: { platform: { markup: platform.markup }, byok: { markup: byok.markup }, hybrid: { markup: hybrid.markup } },
    planPrices: { platform: platform.price, byok: byok.price, hybrid: hybrid.price },
  }
}

interface ReadPlan {
  markup: bigint
  price: bigint
}

/** `platform: { markup_percent: 50, monthly_price: 50 }`. */
function readPlan(field: Field | null, plan: Plan): ReadPlan {
  const section = field?.section() ?? null
  const markup = section === null ? null : readMarkup(section.take('markup_percent'))
  const price = section === null ? null : readMonthlyPrice(section.take('monthly_price'))
  section?.finish(NOTHING, 'markup_percent, monthly_price')
  return { markup: markup ?? DEFAULT_MARKUPS[plan], price: price ?? DEFAULT_PRICES[plan] }
}

/** Percent with up to four decimals is millionths. */
function readMarkup(field: Field): bigint | null {
  const what = 'a markup in percent, from 0 to 1000'
  const markup = field.decimal(4, what, '50')
  return markup !== null && markup > MOST_MARKUP ? field.mismatch(what, `write ${field.name}: 50`) : markup
}

function readPowerLevels(section: Section | null): TollgateSettings['powerLevels'] {
  const level = (name: PowerLevel): bigint => {
    const field = section?.take(name)
    const value =
      field?.decimal(6, 'a factor above 0, at most 1000', String(Number(DEFAULT_LEVELS[name]) / 1e6)) ?? null
    if (value !== null && (value === 0n || value > MOST_LEVEL))
      field?.mismatch('a factor above 0, at most 1000', `write ${name}: 1`)
    return value ?? DEFAULT_LEVELS[name]
  }
  const levels = { eco: level('eco'), balanced: level('balanced'), precision: level('precision') }
  section?.finish(NOTHING, 'eco, balanced, precision')
  return levels
}

/** Nano-dollars by the kind of a tool. */
function readDollars(section: Section | null, what: string): Record<string, bigint> {
  const fees: [string, bigint][] = []
  for (const field of section?.rest() ?? []) {
    const fee = field.decimal(9, what, '0.025')
    if (fee !== null) fees.push([field.name, fee])
  }
  return Object.fromEntries(fees)
}

function readUnknownOutcome(field: Field | null): UnknownOutcome {
  const written = field?.text()?.trim()
  const known = UNKNOWN_OUTCOMES.find((one) => one === written)
  if (written !== undefined && known === undefined)
    field?.error(`expected one of ${UNKNOWN_OUTCOMES.join(', ')}, found ${field.found}`, 'write unknown_outcome: waive')
  return known ?? 'waive'
}

function readCaps(section: Section | null): OutputCaps {
  const tokens = (name: string, otherwise: number): number => section?.take(name).number(TOKENS) ?? otherwise
  const caps = {
    streamOutputTokens: tokens('stream_output_tokens', 4096),
    outputTokens: tokens('output_tokens', 16384),
    leastOutputTokens: tokens('least_output_tokens', 256),
  }
  section?.finish(NOTHING, 'stream_output_tokens, output_tokens, least_output_tokens')
  return caps
}

function readLeases(field: Field | null): Leases {
  const section = field?.section() ?? null
  const seconds = (name: string, otherwise: number): number => section?.take(name).number(SECONDS) ?? otherwise
  const leases = { renewSeconds: seconds('renew_seconds', 5), deadAfterSeconds: seconds('dead_after_seconds', 30) }
  section?.finish(NOTHING, 'renew_seconds, dead_after_seconds')
  // A process that misses one renewal is slow, not dead: recovering its holds while it still calls upstream costs money.
  if (leases.deadAfterSeconds < 2 * leases.renewSeconds) {
    field?.error(
      'dead_after_seconds must be at least twice renew_seconds',
      'write renew_seconds: 5 and dead_after_seconds: 30',
    )
  }
  return leases
}

function readLimits(section: Section | null): Limits {
  const seconds = (name: string, otherwise: number): number => section?.take(name).number(SECONDS) ?? otherwise
  const count = (name: string, otherwise: number): number => section?.take(name).number(COUNT) ?? otherwise
  const memory = section?.take('bodies_megabytes').number(MEMORY) ?? null
  const limits = {
    callsPerKey: count('calls_per_key', 256),
    callsPerUser: count('calls_per_user', 512),
    callsPerOrganization: count('calls_per_organization', 1024),
    calls: count('calls', 4096),
    providerConnections: count('provider_connections', 2048),
    connectionWaitSeconds: section?.take('connection_wait_seconds').number(WAIT) ?? 5,
    fetches: count('fetches', 32),
    fetchedBytes: Math.floor((section?.take('fetched_megabytes').number(MEGABYTES) ?? 64) * MEGABYTE),
    bodyBytes: Math.floor((section?.take('body_megabytes').number(MEGABYTES) ?? 32) * MEGABYTE),
    bodiesBytes: memory === null ? null : Math.floor(memory * MEGABYTE),
    bodyValues: count('body_values', 100_000),
    uploadsPerCaller: count('uploads_per_caller', 100),
    uploadSeconds: seconds('upload_seconds', 120),
    silentSeconds: seconds('silent_seconds', 10),
    connections: count('connections', 10_000),
    requestsPerConnection: count('requests_per_connection', 10_000),
    unknownKeysPerMinute: count('unknown_keys_per_minute', 30),
    refusedCallsPerSecond: count('refused_calls_per_second', 200),
    connectTimeoutMs: Math.ceil(seconds('connect_timeout_seconds', 10) * 1000),
    idleTimeoutMs: Math.ceil(seconds('idle_timeout_seconds', 300) * 1000),
    drainSeconds: seconds('drain_seconds', 30),
    clientStallSeconds: seconds('client_stall_seconds', 120),
    creditWaitSeconds: section?.take('credit_wait_seconds').number(WAIT) ?? 5,
    bookingWaitSeconds: section?.take('booking_wait_seconds').number(WAIT) ?? 0.25,
  }
  section?.finish(
    NOTHING,
    'calls_per_key, calls_per_user, calls_per_organization, calls, provider_connections, connection_wait_seconds, fetches, fetched_megabytes, body_megabytes, bodies_megabytes, body_values, uploads_per_caller, upload_seconds, silent_seconds, connections, requests_per_connection, unknown_keys_per_minute, refused_calls_per_second, connect_timeout_seconds, idle_timeout_seconds, drain_seconds, client_stall_seconds, credit_wait_seconds, booking_wait_seconds',
  )
  return limits
}

/** By provider. */
function readReadOn(section: Section | null): Record<string, number> {
  const written = (section?.rest() ?? []).map((field) => [field.name, field.number(WAIT)] as const)
  return Object.fromEntries(written.filter((entry): entry is readonly [string, number] => entry[1] !== null))
}

function readHeaderNames(field: Field | null): string[] {
  return (field?.list() ?? []).flatMap((entry) => {
    const name = entry.text('the name of a header')?.trim().toLowerCase() ?? ''
    if (/^[\w!#$%&'*+.^`|~-]{1,100}$/.test(name)) return [name]
    entry.error('not the name of a header', 'write X-Conversation-Id')
    return []
  })
}

/** An address that can't be read stops the start: it may be what keeps callers out of a network. */
function readAddresses(field: Field | null): string[] {
  return (field?.list() ?? []).flatMap((entry) => {
    const address = entry.text('an address')?.trim() ?? ''
    try {
      readAllowedPlace(address)
      return [address]
    } catch {
      entry.error('not an address', 'write host, host:port, 10.1.0.0/16 or [fd00::/8]:8080')
      return []
    }
  })
}
