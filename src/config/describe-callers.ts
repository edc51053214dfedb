/** What `check-config` prints about callers and about who is told of events: who may call, from where and how often. It shows no secret: only the host of a Redis, and whether a client secret is set. */
import type { Config, KeyLimits, OidcIssuer, ServiceKeySetting } from './config.ts'

export function describeCallers(config: Config): string[] {
  const { keyHeader, publicUrl, corsOrigins, trustedProxies } = config
  return [
    ...(keyHeader === null ? [] : [`header that names a key before all others: ${keyHeader}`]),
    `service keys: ${listed(config.serviceKeys.map(({ name }) => name))}`,
    ...config.serviceKeys.map((service) => `  ${describeService(service)}`),
    `identity providers: ${listed(config.oidc.map(({ issuer }) => issuer))}`,
    ...config.oidc.map((issuer) => `  ${describeIssuer(issuer)}`),
    describeSessions(config),
    ...describeOutbox(config),
    `public URL: ${publicUrl ?? 'as each request says'}`,
    `pages of other sites that may call: ${listed(corsOrigins)}`,
    `trusted proxies: ${listed(trustedProxies)}`,
    ...describeRates(config),
  ]
}

function describeService({ name, organization, user, actAs, models, routes, limits }: ServiceKeySetting): string {
  return [
    `${name}: organization ${organization}, user ${user}`,
    ...(actAs === 'members' ? ['may act as members'] : []),
    `models ${models === null ? 'all' : models.join(' ')}`,
    `routes ${routes.join(' ')}`,
    ...limitsIn(limits),
  ].join(', ')
}

function describeIssuer(issuer: OidcIssuer): string {
  const { audience, userClaim, organizationClaim, rolesClaim, adminRoles, login } = issuer
  const admins = rolesClaim === null || adminRoles.length === 0 ? 'nobody' : `${adminRoles.join(' ')} in ${rolesClaim}`
  const secret = login?.clientSecret === null ? 'without' : 'with'
  return [
    `${issuer.issuer}: for ${audience.join(' ')}`,
    `user in ${userClaim}`,
    `organizations: ${organizationClaim === null ? "all of the user's" : `only those in ${organizationClaim}`}`,
    `system administrators: ${admins}`,
    login === null ? 'nobody logs in here' : `people log in as client ${login.clientId}, ${secret} a secret`,
  ].join(', ')
}

function describeOutbox({ outbox }: Config): string[] {
  if (outbox.length === 0) return []
  const lines = outbox.map(
    ({ name, types, receiver }) => `  ${name}: ${receiver.kind} at ${hostOf(receiver.url)}, events ${types.join(' ')}`,
  )
  return ['consumers of events:', ...lines]
}

function describeSessions({ sessions }: Config): string {
  const { redisUrl, cookie, prefix, seconds, adminRoles } = sessions
  const place = redisUrl === null ? 'in the database' : `in Redis at ${hostOf(redisUrl)} as ${prefix}<token>`
  return `sessions: cookie ${cookie}, kept ${place} for ${seconds} s, system administrators: ${listed(adminRoles)}`
}

function describeRates({ rateLimits, redisUrl }: Config): string[] {
  const { post, get, change, calls } = rateLimits
  const bounds: readonly (readonly [string, KeyLimits])[] = [
    ['a key', calls.key],
    ['an organization', calls.organization],
    ...Object.entries(calls.plans).map(([plan, limits]) => [`an organization on ${plan}`, limits] as const),
  ]
  const stated = bounds.flatMap(([whose, limits]) => {
    const parts = limitsIn(limits)
    return parts.length === 0 ? [] : [`  calls of ${whose}: ${parts.join(', ')}`]
  })
  const where = redisUrl === null ? 'counted in each process' : `shared through Redis at ${hostOf(redisUrl)}`
  return [
    `rate limits, ${where}: ${post} POST, ${get} GET, ${change} others a minute, of a caller to a route under /api/v1`,
    ...(stated.length === 0 ? ['  calls of models: no limit of a minute'] : stated),
  ]
}

function limitsIn({ requestsPerMinute, tokensPerMinute, callsAtOnce }: KeyLimits): string[] {
  const limits = [
    [requestsPerMinute, 'calls a minute'],
    [tokensPerMinute, 'tokens a minute'],
    [callsAtOnce, 'calls at once'],
  ] as const
  return limits.flatMap(([most, what]) => (most === null ? [] : [`${most} ${what}`]))
}

/** Leaves out what precedes the host: a password. */
function hostOf(url: string): string {
  return new URL(url).host
}

function listed(names: readonly string[]): string {
  return names.length === 0 ? 'none' : names.join(' ')
}
