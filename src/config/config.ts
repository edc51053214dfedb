/** The one typed, validated, frozen value that config.yaml and the environment become. Built by `loadConfig`, read by everything. */

import type { ProviderName } from '../../providers/provider-name.ts'
import type { OperatorPrice } from './operator-price.ts'
import type { Problem } from './problem.ts'

export type { ProviderName } from '../../providers/provider-name.ts'
export type { OperatorPrice } from './operator-price.ts'
export type { Problem } from './problem.ts'

export type JsonValue = string | number | boolean | null | JsonValue[] | { [name: string]: JsonValue }

/** Whose key pays the provider: the operator's, the caller's own, or the caller's with the operator's behind it. */
export type Plan = 'platform' | 'byok' | 'hybrid'

export type PowerLevel = 'eco' | 'balanced' | 'precision'

/** One concrete way to serve a model group. */
export interface Deployment {
  /** `model_info.id`, else derived from litellm_params. Unique within a Config. */
  id: string
  /** The model group, as written; may hold `*`. */
  modelName: string
  provider: ProviderName
  /** Without the provider prefix; may hold `*`. */
  upstreamModel: string
  /** Resolved. Null when the operator has none, which leaves the deployment to callers who bring their own. */
  apiKey: string | null
  /** The variable the key came from, or the configuration file's name. Null exactly when apiKey is. */
  apiKeySource: string | null
  /** `api_key` says where it is from: nothing stored takes its place. False for a key the provider's own variable holds. */
  keyWritten: boolean
  /** The provider's own host, or this machine: keys that were not written for this deployment may be sent there too. */
  trustedHost: boolean
  /** http(s), no credentials, no trailing slash. Null means the provider's own. */
  apiBase: string | null
  /** Where callers are told it is served: the operator's word, else the host where it is a known provider's; null says nothing of it. */
  shownApiBase: string | null
  organization: string | null
  extraHeaders: Record<string, string>
  /** Request parameters merged under the caller's own. */
  defaults: Record<string, JsonValue>
  timeoutMs: number | null
  streamTimeoutMs: number | null
  /** The canned response given instead of calling anybody. */
  mockResponse: string | null
  price: OperatorPrice | null
  maxOutputTokens: number | null
  maxInputTokens: number | null
  /** What the operator says it is made for: `chat`, `embedding`, `completion` ...; left out where its name tells. */
  mode?: string
  /** What its server states is charged at most at what is counted here; left out where it is charged as far as it is possible. */
  statement?: 'counted'
  /** The paths its server is known to have; left out where that goes by its host. */
  supportedEndpoints?: readonly string[]
  dropParams: boolean
  /** Members of a request that go to the provider although nobody knows what they do; `*` for all. */
  allowedParams: readonly string[]
  weight: number | null
  rpm: number | null
  tpm: number | null
}

/** How many tokens of output a call is held for when the caller names no cap. */
export interface OutputCaps {
  streamOutputTokens: number
  outputTokens: number
  /** Where the balance covers fewer than these (or the caller's cap, if lower), the call is refused. */
  leastOutputTokens: number
}

export interface Leases {
  renewSeconds: number
  deadAfterSeconds: number
}

export interface Limits {
  bodyBytes: number
  /** Running at once. */
  callsPerKey: number
  callsPerUser: number
  callsPerOrganization: number
  /** Fewer where the limit of descriptors leaves no room for them. */
  calls: number
  /** To one host of a provider. */
  providerConnections: number
  /** How long a call waits for one of them. */
  connectionWaitSeconds: number
  /** Calls that fetch at once what they name by URL. */
  fetches: number
  /** What was fetched for calls that run. */
  fetchedBytes: number
  /** Of the bodies of all calls under way; null: an eighth of the memory there is. */
  bodiesBytes: number | null
  /** Members and elements of a body's JSON. */
  bodyValues: number
  /** Bodies being sent by one caller at once. */
  uploadsPerCaller: number
  /** For a whole request to arrive. */
  uploadSeconds: number
  /** Without a byte of what a caller began to send. */
  silentSeconds: number
  /** Fewer where the limit of descriptors leaves no room for them. */
  connections: number
  requestsPerConnection: number
  /** API keys nobody has, tried from one address. */
  unknownKeysPerMinute: number
  connectTimeoutMs: number
  idleTimeoutMs: number
  drainSeconds: number
  clientStallSeconds: number
  /** How long a call waits for running ones that hold what it needs. */
  creditWaitSeconds: number
  /** How long a response waits for its settlement; then it goes out marked pending. */
  bookingWaitSeconds: number
}

/**
 * Who may add credits to a pool: the operator; besides, an admin of the organization who paid for them; besides, any admin of the
 * organization, as Ops-Center had it.
 */
export type CreditsAdder = 'system_admin' | 'payment' | 'org_admin'

export interface StripeSettings {
  secretKey: string
  /** Without it no webhook is believed. */
  webhookSecret: string | null
  /** Null means Stripe's own. */
  apiBase: string | null
}

export interface BillingSettings {
  /** Cents a month. */
  planPrices: Readonly<Record<Plan, bigint>>
  addCredits: CreditsAdder
  /** Null without STRIPE_SECRET_KEY. */
  stripe: StripeSettings | null
}

/** What a key may do in a minute, and at once; null where only the general limits apply. */
export interface KeyLimits {
  requestsPerMinute: number | null
  tokensPerMinute: number | null
  callsAtOnce: number | null
}

/** An application that calls for an organization. */
export interface ServiceKeySetting {
  name: string
  /** A secret. */
  key: string
  /** Name or id; made where it is missing. */
  organization: string
  /** Who pays where no member is named. */
  user: string
  /** `members`: X-User-ID names the member who pays. */
  actAs: 'none' | 'members'
  /** Names or patterns; null: all. */
  models: readonly string[] | null
  /** Groups or paths of routes. */
  routes: readonly string[]
  limits: KeyLimits
}

/** An identity provider whose tokens are accepted. */
export interface OidcIssuer {
  /** Exactly as its tokens state it. */
  issuer: string
  /** One of them must be in a token. */
  audience: readonly string[]
  /** Where its public keys are; null: where its discovery document says. */
  jwksUri: string | null
  /** Names of claims: `sub`, `realm_access.roles`. */
  userClaim: string
  /** Names the only organizations a token is for; null: its user's memberships say. */
  organizationClaim: string | null
  rolesClaim: string | null
  /** Whoever has one of them is a system administrator. */
  adminRoles: readonly string[]
  /** Our client there, for people who log in; null where nobody does. */
  login: { clientId: string; clientSecret: string | null; scopes: string } | null
}

/** The cookie people are known by. */
export interface SessionSettings {
  /** A secret. Null: sessions are kept in the database. */
  redisUrl: string | null
  cookie: string
  /** Of keys in Redis. */
  prefix: string
  /** How long a session of our own lasts. */
  seconds: number
  /** Roles in a session that make a system administrator. */
  adminRoles: readonly string[]
}

/** In a minute, for each caller: of management routes, each route for itself; and of models. */
export interface RateLimitSettings {
  post: number
  get: number
  /** Every other method. */
  change: number
  quotes: number
  calls: { key: KeyLimits; organization: KeyLimits; plans: Readonly<Record<Plan, KeyLimits>> }
}

/** What the `tollgate:` section says, with the defaults filled in. */
export interface TollgateSettings {
  /** Millionths on top of the provider's cost: 50 % is 500000n. */
  plans: Record<Plan, { markup: bigint }>
  billing: BillingSettings
  /** Millionths the charge is multiplied by. */
  powerLevels: Record<PowerLevel, bigint>
  allowBelowCost: boolean
  /** Nano-dollars per use of a server-side tool. */
  toolFees: Record<string, bigint>
  /** Nano-dollars held for a call that may use a server-side tool whose findings become input, by the tool's kind. */
  toolSurcharges: Record<string, bigint>
  caps: OutputCaps
  leases: Leases
  limits: Limits
  /** Seconds a stream is read on whose caller left, by provider, where its usage is needed; to its end where none are named. */
  readOnSeconds: Readonly<Record<ProviderName, number>>
  /** How long who changed which key is kept. */
  auditLogDays: number
  /** Places that are not public and may be called all the same: `host`, `host:port`, `10.1.0.0/16`. */
  allowedAddresses: readonly string[]
  /** Where browsers reach Tollgate: `https://gate.example.com`, without a path; null where each request says it. */
  publicUrl: string | null
  /** `https://app.example.com`, `https://*.example.com`, `http://localhost:*`; `*` for all, without cookies. */
  corsOrigins: readonly string[]
  /** Addresses and ranges of peers that say truly whom they speak for. */
  trustedProxies: readonly string[]
  serviceKeys: readonly ServiceKeySetting[]
  oidc: readonly OidcIssuer[]
  sessions: SessionSettings
  rateLimits: RateLimitSettings
  /** A secret: REDIS_URL, where processes share their rate limits. Null: each has its own. */
  redisUrl: string | null
}

/** A provider's key as its own environment variable has it. */
export interface EnvironmentKey {
  variable: string
  apiKey: string
}

export interface Config extends TollgateSettings {
  file: string | null
  deployments: readonly Deployment[]
  modelGroupAlias: Readonly<Record<string, string>>
  /** By provider, and `provisioning`: what stands in for a key that is not stored. */
  environmentKeys: Readonly<Record<ProviderName, EnvironmentKey>>
  masterKey: string | null
  /** The header that names a key before all others, in lower case: `litellm_key_header_name`; null where none is configured. */
  keyHeader: string | null
  databaseUrl: string | null
  dropParams: boolean
  numRetries: number
  requestTimeoutMs: number
  warnings: readonly Problem[]
}
