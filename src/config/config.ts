/** The one typed, validated, frozen value that config.yaml and the environment become. Built by `loadConfig`, read by everything. */

import type { ProviderName } from '../../providers/provider-name.ts'
import type { OperatorPrice } from './operator-price.ts'
import type { Problem } from './problem.ts'
import type { RoutingSettings } from './routing-settings.ts'
import type { TraceSink } from './trace-sink.ts'

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
  /** The deployment's `api_key` names the key, so no stored key replaces it. False where the key is the provider's own variable. */
  keyWritten: boolean
  /** The provider's own host, or this machine: keys that were not written for this deployment may be sent there too. */
  trustedHost: boolean
  /** http(s), no credentials, no trailing slash. Null means the provider's own. */
  apiBase: string | null
  /** The address that callers are shown: what the operator wrote, else the host of a known provider; null shows none. */
  shownApiBase: string | null
  organization: string | null
  extraHeaders: Record<string, string>
  /** Request parameters merged under the caller's own. */
  defaults: Record<string, JsonValue>
  timeoutMs: number | null
  streamTimeoutMs: number | null
  /** The canned response that is given instead of calling a provider. */
  mockResponse: string | null
  price: OperatorPrice | null
  maxOutputTokens: number | null
  maxInputTokens: number | null
  /** What the operator says the model is for: `chat`, `embedding`, `completion` ...; left out where its name decides. */
  mode?: string
  /** The model behind it, whose price and facts it has: LiteLLM's `base_model`; left out where that is the one it is asked for. */
  baseModel?: { provider: ProviderName; model: string }
  /** `counted`: a call is charged at most what is counted here, whatever its server states. Left out where any possible statement is charged. */
  statement?: 'counted'
  /** The paths that its server has; left out where its host decides that. */
  supportedEndpoints?: readonly string[]
  dropParams: boolean
  /** Members of a request that go to the provider although Tollgate does not know them; `*` for all. */
  allowedParams: readonly string[]
  weight: number | null
  /** Calls and tokens in a minute, and calls at once: none is sent above them. Weights of the calls too, where no `weight` is set. */
  rpm: number | null
  tpm: number | null
  maxParallel?: number
  /** The lowest of a group are tried first; left out where none is written: after all others. */
  order?: number
  /** By which a request chooses it. */
  tags?: readonly string[]
  /** How many others a call that failed here is tried on. */
  numRetries?: number
}

/** An entry of the file that can't be served here. */
export interface LeftOut {
  /** The model group, as written. */
  modelName: string
  /** `no such provider here: "acme"`: may be said to callers. */
  why: string
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
  /** How many calls may run at once. */
  callsPerKey: number
  callsPerUser: number
  callsPerOrganization: number
  /** Fewer where the limit of descriptors leaves no room for them. */
  calls: number
  /** Connections to one host of a provider. */
  providerConnections: number
  /** How long a call waits for one of them. */
  connectionWaitSeconds: number
  /** How many calls may fetch media by URL at once. */
  fetches: number
  /** Bytes of the media that were fetched for running calls. */
  fetchedBytes: number
  /** Bytes of the bodies of all running calls; null for an eighth of the machine's memory. */
  bodiesBytes: number | null
  /** Members and elements in the JSON of a body. */
  bodyValues: number
  /** How many bodies one caller may send at once. */
  uploadsPerCaller: number
  /** How long a whole request may take to arrive. */
  uploadSeconds: number
  /** How long a caller may pause in a request it began to send. */
  silentSeconds: number
  /** Fewer where the limit of descriptors leaves no room for them. */
  connections: number
  requestsPerConnection: number
  /** Unknown API keys that one address may try. */
  unknownKeysPerMinute: number
  /** Calls of one user that the gate admits. */
  refusedCallsPerSecond: number
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
 * Who may add credits to a pool: the operator alone; or also an admin of the organization who paid for them; or also any admin of the
 * organization, as Ops-Center had it.
 */
export type CreditsAdder = 'system_admin' | 'payment' | 'org_admin'

export interface StripeSettings {
  secretKey: string
  /** The secret that webhooks are verified with. Without it none is accepted. */
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

/** What a key may use in a minute, and how many calls it may run at once; null where only the general limits apply. */
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
  /** Name or id; the organization is made where it does not exist. */
  organization: string
  /** The user who pays where a request names no member. */
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
  /** Exactly as the tokens state it. */
  issuer: string
  /** A token must state one of them. */
  audience: readonly string[]
  /** The URL of its public keys; null for the one its discovery document names. */
  jwksUri: string | null
  /** The names of claims, such as `sub` or `realm_access.roles`. */
  userClaim: string
  /** The claim with the only organizations a token is for; null where the user's memberships decide. */
  organizationClaim: string | null
  rolesClaim: string | null
  /** Roles that make a system administrator. */
  adminRoles: readonly string[]
  /** Our client at the provider, for people who log in; null where nobody logs in with it. */
  login: { clientId: string; clientSecret: string | null; scopes: string } | null
}

/** How a person with a browser is recognized: by a cookie. */
export interface SessionSettings {
  /** A secret. Null: sessions are kept in the database. */
  redisUrl: string | null
  cookie: string
  /** The prefix of keys in Redis. */
  prefix: string
  /** How long a session of our own lasts. */
  seconds: number
  /** The roles in a session that make a system administrator. */
  adminRoles: readonly string[]
}

/** Requests a minute for each caller: to each management route, and to models. */
export interface RateLimitSettings {
  post: number
  get: number
  /** Every other method. */
  change: number
  quotes: number
  calls: { key: KeyLimits; organization: KeyLimits; plans: Readonly<Record<Plan, KeyLimits>> }
}

/** How many calls a user may make; null: as many as they like. */
export interface Tier {
  callsPerDay: number | null
  callsPerMonth: number | null
}

export interface LagoReceiver {
  kind: 'lago'
  url: string
  apiKey: string
  /** The code of a billable metric. */
  metric: string
  /** Lago's codes of our plans. */
  plans: Readonly<Record<Plan, string>>
  /** What its webhooks are signed with; null: none is taken. */
  webhookKey: string | null
}

/** Where a consumer's events go. Secrets are in it. */
export type ConsumerReceiver =
  /** Keys in base64, the newest first. */
  | { kind: 'webhook'; url: string; secrets: readonly string[] }
  | { kind: 'slack'; url: string }
  | { kind: 'cloudevents'; url: string; headers: Readonly<Record<string, string>> }
  | LagoReceiver
  /** Stripe's customers by the name or the id of the organization. */
  | { kind: 'stripe'; url: string; secretKey: string; meter: string; customers: Readonly<Record<string, string>> }

/** Somebody who is told what happens. */
export interface ConsumerSetting {
  /** Its cursor is kept under it. */
  name: string
  /** Patterns of the types of events it is told: `charge.*`. */
  types: readonly string[]
  /** How long an event that is not taken is tried again. */
  deadAfterHours: number
  receiver: ConsumerReceiver
}

/** What the `tollgate:` section says, with the defaults filled in. */
export const UNKNOWN_OUTCOMES = ['waive', 'input', 'hold'] as const
export type UnknownOutcome = (typeof UNKNOWN_OUTCOMES)[number]

export interface TollgateSettings {
  /** Millionths on top of the provider's cost: 50 % is 500000n. */
  plans: Record<Plan, { markup: bigint }>
  /** By name. A tier that is not among them has no quota. */
  tiers: Readonly<Record<string, Tier>>
  /** In which days, weeks and months begin: `Europe/Berlin`. */
  timeZone: string
  billing: BillingSettings
  /** Millionths the charge is multiplied by. */
  powerLevels: Record<PowerLevel, bigint>
  allowBelowCost: boolean
  /** What a caller pays for a call that went out and whose end nobody knows: nothing, its input, or what was held. */
  unknownOutcome: UnknownOutcome
  /** Nano-dollars per use of a server-side tool. */
  toolFees: Record<string, bigint>
  /** Nano-dollars held for a call that may use a server-side tool whose findings become input, by the tool's kind. */
  toolSurcharges: Record<string, bigint>
  caps: OutputCaps
  leases: Leases
  limits: Limits
  /** How many seconds a stream is read on after its caller left, by provider; to its end where the provider is not named. */
  readOnSeconds: Readonly<Record<ProviderName, number>>
  /** Headers by which callers name the session a call belongs to, besides those of known clients; lower case. */
  sessionHeaders: readonly string[]
  /** How many hours responses can be named by their ids, by the users they were made for; 0: none is kept. */
  keptResponsesHours: number
  /** How many days the audit log of key changes is kept. */
  auditLogDays: number
  /** How many days the details of charges are kept; 0: for ever. */
  detailsDays: number
  /** How many days events that are no rows of the books are kept, sent or not. */
  eventsDays: number
  /** Private addresses that may be called: `host`, `host:port`, `10.1.0.0/16`. */
  allowedAddresses: readonly string[]
  /** Where browsers reach Tollgate: `https://gate.example.com`, without a path; null to use each request's own host. */
  publicUrl: string | null
  /** `https://app.example.com`, `https://*.example.com`, `http://localhost:*`; `*` for all, without cookies. */
  corsOrigins: readonly string[]
  /** Addresses and ranges of proxies whose X-Forwarded-For is believed. */
  trustedProxies: readonly string[]
  serviceKeys: readonly ServiceKeySetting[]
  outbox: readonly ConsumerSetting[]
  oidc: readonly OidcIssuer[]
  sessions: SessionSettings
  rateLimits: RateLimitSettings
  /** A secret: REDIS_URL, through which processes share their rate limits. Null where each process counts for itself. */
  redisUrl: string | null
}

/** A provider's key from its own environment variable. */
export interface EnvironmentKey {
  variable: string
  apiKey: string
}

/** What all calls together may spend. */
export interface ProxyBudget {
  /** Microcredits; a dollar is a thousand credits. */
  amount: bigint
  /** As ledger_window_start reads it; null: of all time. */
  window: string | null
}

export interface Config extends TollgateSettings {
  file: string | null
  deployments: readonly Deployment[]
  /** Entries of the file that can't be served here: their siblings are, and a call of a group that has none left is told why. */
  leftOut: readonly LeftOut[]
  modelGroupAlias: Readonly<Record<string, string>>
  /** Aliases that are called and not listed. */
  hiddenAliases: readonly string[]
  /** Where calls are told of. */
  traceSinks: readonly TraceSink[]
  /** The name that spans are sent under. */
  traceService: string
  /** The environment's keys, by provider, and `provisioning`: used where no key is stored. */
  environmentKeys: Readonly<Record<ProviderName, EnvironmentKey>>
  masterKey: string | null
  /** The header that names a key before all others, in lower case: `litellm_key_header_name`; null where none is configured. */
  keyHeader: string | null
  databaseUrl: string | null
  dropParams: boolean
  numRetries: number
  routing: RoutingSettings
  /** The status of a call that a budget of a virtual key, user, team or customer refuses. */
  budgetExceededStatus: number
  /** What all calls together may spend: `litellm_settings.max_budget`; null: nothing bounds them together. */
  proxyBudget: ProxyBudget | null
  /** Microcredits each end user may spend who has no budget of their own: `litellm_settings.max_end_user_budget`; null: nothing bounds them. */
  endUserBudget: bigint | null
  /** What a virtual key is made with where its maker says nothing: `default_key_generate_params`, as it was written. */
  keyDefaults: Readonly<Record<string, JsonValue>>
  requestTimeoutMs: number
  warnings: readonly Problem[]
}
