/**
 * Chooses whose key pays the provider, for each deployment of a call. The caller's plan decides: the caller's own key (the user's, else
 * the organization's), the platform's, or the caller's and then the platform's. A key in the vault's cache costs one look into a map, and
 * nothing is awaited. Fails closed: no other key replaces a stored key that can't be read, except on `hybrid`, whose plan names the next.
 */
import { providerOf } from '../../providers/registry.ts'
import type { Deployment, Plan } from '../config/config.ts'
import { TollgateError } from '../http/errors.ts'
import type { Caller } from '../identity/caller.ts'
import { findKeyFormat } from '../vault/key-formats.ts'
import { userKeyOwner } from '../vault/key-owner.ts'
import type { KeyOwner, Vault } from '../vault/vault.ts'
import { callerPays, OPERATOR, type Payer } from './payer.ts'

export interface PayingKey {
  /** Null for a server that needs no key. */
  apiKey: string | null
  payer: Payer
}

/** Returns the keys to try on a deployment, in order; at least one. @throws {TollgateError} 403, 503 where there is none. */
export type KeysFor = (deployment: Deployment) => readonly PayingKey[]

type Found = { key: string | null } | { failure: unknown }

const PLATFORM: KeyOwner = { kind: 'platform' }
const NO_KEY: PayingKey = { apiKey: null, payer: OPERATOR }

/** Returns a promise only where a key has to be read first. @throws {TollgateError} 403 where the plan is not in force. */
export function chooseKeys(
  vault: Pick<Vault, 'find'>,
  caller: Caller,
  deployments: readonly Deployment[],
): KeysFor | Promise<KeysFor> {
  const plan: Plan = caller.isDefaultOrganization ? 'platform' : (caller.plan ?? 'platform')
  const ended = caller.isDefaultOrganization ? null : (caller.planEnded ?? null)
  if (plan === 'byok' && ended !== null) throw planInactive(ended)
  // This holds for a hybrid plan that ended, too: a call of its own key does not move to the operator's.
  const owners = plan === 'platform' && ended === null ? [] : ownersOf(caller)
  const found = new Map<string, Found>()
  const waiting: Promise<void>[] = []

  function ask(provider: string, owner: KeyOwner): void {
    const name = `${owner.kind}/${provider}`
    if (found.has(name)) return
    const answer = vault.find(provider, owner)
    if (!(answer instanceof Promise)) {
      found.set(name, { key: answer })
      return
    }
    const keep = (value: Found) => void found.set(name, value)
    waiting.push(answer.then((key) => keep({ key })).catch((failure: unknown) => keep({ failure })))
  }

  for (const deployment of deployments) {
    if (!deployment.trustedHost || deployment.mockResponse !== null) continue
    for (const owner of owners) ask(deployment.provider, owner)
    if (plan !== 'byok' && !deployment.keyWritten) ask(deployment.provider, PLATFORM)
  }
  const keysFor: KeysFor = (deployment) => keysOf(deployment, { plan, ended, owners }, found)
  return waiting.length === 0 ? keysFor : Promise.all(waiting).then(() => keysFor)
}

function ownersOf(caller: Caller): KeyOwner[] {
  return [userKeyOwner(caller), { kind: 'organization', id: caller.organizationId }]
}

interface Asked {
  plan: Plan
  ended: string | null
  owners: readonly KeyOwner[]
}

function keysOf(
  deployment: Deployment,
  { plan, ended, owners }: Asked,
  found: ReadonlyMap<string, Found>,
): readonly PayingKey[] {
  // A mock calls no provider, so it needs no key.
  if (deployment.mockResponse !== null) return [NO_KEY]
  const own = ownKey(deployment, owners, found)
  if (ended !== null && own !== null) throw planInactive(ended)
  if (plan === 'platform') return [platformKey(deployment, found)]
  if (plan === 'byok') {
    if (own === null) throw noOwnKey(deployment)
    if ('failure' in own) throw own.failure
    return [own]
  }
  if (own === null || 'failure' in own) return [platformKey(deployment, found)]
  const behind = platformKeyOrWhy(deployment, found)
  return 'failure' in behind ? [own] : [own, behind]
}

/** The key of the first owner that has one. A caller's key never goes to a host other than the provider's own. */
function ownKey(
  { trustedHost, provider }: Deployment,
  owners: readonly KeyOwner[],
  found: ReadonlyMap<string, Found>,
): PayingKey | { failure: unknown } | null {
  if (!trustedHost) return null
  for (const { kind } of owners) {
    const stored = found.get(`${kind}/${provider}`)
    if (stored === undefined) continue
    if ('failure' in stored) return stored
    if (stored.key !== null) return { apiKey: stored.key, payer: callerPays(kind) }
  }
  return null
}

function platformKey(deployment: Deployment, found: ReadonlyMap<string, Found>): PayingKey {
  const key = platformKeyOrWhy(deployment, found)
  if ('failure' in key) throw key.failure
  return key
}

/** The key written for the deployment, else the stored one, else the one of the environment. */
function platformKeyOrWhy(
  { keyWritten, apiKey, apiBase, provider }: Deployment,
  found: ReadonlyMap<string, Found>,
): PayingKey | { failure: unknown } {
  const stored = keyWritten ? undefined : found.get(`platform/${provider}`)
  if (stored !== undefined && 'failure' in stored) return stored
  const key = stored?.key ?? apiKey
  const needsKey = apiBase === null || providerOf(provider).cloud !== undefined
  return key === null && needsKey ? { failure: noPlatformKey(provider) } : { apiKey: key, payer: OPERATOR }
}

/** Without this refusal the call would go out with the operator's key, which the plan does not allow. */
function planInactive(status: string): TollgateError {
  return new TollgateError(
    403,
    'plan_inactive',
    `The plan of your organization is ${status}, so no call can be made with its keys. Its owner or the operator can renew it.`,
  )
}

/** An SDK should not retry: a call made again at once finds no key either. */
function noPlatformKey(name: string): TollgateError {
  const { label, keyVariables, cloud } = providerOf(name)
  const pair = (cloud?.parts ?? []).slice(0, 2).flatMap(({ variables }) => variables.slice(0, 1))
  const ways = [...keyVariables, pair.join(' and '), cloud?.file?.variables.at(-1) ?? ''].filter((way) => way !== '')
  const set = `set ${ways.join(' or ')} and restart`
  const store =
    findKeyFormat(name) === null ? '' : `, or store one while Tollgate runs: PUT /api/v1/admin/platform-keys/${name}`
  return new TollgateError(
    503,
    'provider_key_missing',
    `No API key for ${label} is configured. The operator can ${set}${store}`,
    { headers: { 'x-should-retry': 'false' } },
  )
}

function noOwnKey({ provider, trustedHost }: Deployment): TollgateError {
  const { label } = providerOf(provider)
  if (trustedHost) {
    return new TollgateError(
      403,
      'byok_key_missing',
      `Your plan calls ${label} with a key of your own, and none is stored or switched on. Store one: POST /api/v1/llm/byok/keys`,
    )
  }
  return new TollgateError(
    403,
    'byok_not_possible',
    "Your plan calls providers with your own keys, which are not sent to the operator's server behind this model. Choose another.",
    { param: 'model' },
  )
}
