/** How an entry's provider is reached: where it stands, with which key, and for which account there. */
import type { ProviderFacts } from '../../providers/provider-name.ts'
import { readCloud } from './cloud.ts'
import type { Deployment, LeftOut } from './config.ts'
import { mayUseStandardKey, type ProviderKey, publicHostOf, readApiBase, readApiKey } from './connection.ts'
import { type Entry, firstWritten, leaveOut, type Target } from './entry.ts'

export interface Reach extends ProviderKey, Pick<Deployment, 'apiBase' | 'organization' | 'trustedHost'> {
  target: Target | LeftOut | null
  /** The part of the address that callers may see. */
  publicBase: string | null
}

export function readReach(entry: Entry, named: Target | LeftOut | null, isMock: boolean): Reach {
  const { params, modelName } = entry
  const { providers } = params.place.source
  let unreachable: LeftOut | null = null
  const written = readApiBase(firstWritten(params, 'api_base', 'base_url'), (message, fix) => {
    unreachable = leaveOut(entry, `api_base: ${message}`, fix)
    return null
  })
  const facts = named === null || 'why' in named ? undefined : providers[named.provider]
  const { apiBase, nowhere } = readAddress(entry, facts, written)
  const target = unreachable ?? nowhere ?? named
  const isQuiet = modelName.includes('*') || isMock
  const key = readApiKey(firstWritten(params, 'api_key', 'azure_ad_token'), {
    provider: target === null || 'why' in target ? null : target.provider,
    apiBase,
    quiet: isQuiet,
    // A cloud has credentials besides: whether one is missing is said below.
    mock: isMock || facts?.cloud !== undefined,
  })
  const reach = { ...key, apiBase, organization: params.take('organization').text('a text') }
  if (target !== null && !('why' in target) && facts?.cloud !== undefined) {
    return inCloud(entry, { target, written, reach, quiet: isQuiet })
  }
  return {
    ...reach,
    target,
    trustedHost: facts !== undefined && mayUseStandardKey(facts, apiBase),
    publicBase: publicHostOf(providers, apiBase),
  }
}

interface Known {
  target: Target
  written: string | null
  reach: Pick<Reach, keyof ProviderKey | 'apiBase' | 'organization'>
  quiet: boolean
}

function inCloud(entry: Entry, { target, written, reach, quiet }: Known): Reach {
  const { params } = entry
  const { provider, upstreamModel } = target
  const { apiKey, apiKeySource, keyWritten } = reach
  const facts = params.place.source.providers[provider]!
  const key = { apiKey, apiKeySource, keyWritten }
  const read = readCloud({ params, cloud: facts.cloud!, upstreamModel, written, key })
  if ('why' in read)
    return { ...reach, target: leaveOut(entry, read.why, read.fix), trustedHost: false, publicBase: null }
  const { isOwn, upstreamModel: model, ...place } = read
  if (place.apiKey === null) warnOfNoKey(entry, facts, quiet)
  return {
    ...place,
    organization: place.organization ?? reach.organization,
    target: { provider, upstreamModel: model },
    trustedHost: isOwn || mayUseStandardKey(facts, place.apiBase),
    publicBase: isOwn && place.apiBase !== null ? new URL(place.apiBase).origin : null,
  }
}

function warnOfNoKey({ modelField }: Entry, { keyVariables, cloud }: ProviderFacts, quiet: boolean): void {
  const { parts, file } = cloud!
  const members = [...parts, ...(file === null ? [] : [file])]
  const variables = [...members.flatMap((setting) => setting.variables.slice(0, 1)), ...keyVariables]
  const fix = `write ${members.map(({ member }) => member).join(', ')}, or set ${variables.join(', ')}`
  modelField.warn('no credential, so nobody can use it', fix, quiet)
}

/** Where a provider stands that stands where its operator put it; of a written address, with the version of its API. */
function readAddress(
  entry: Entry,
  facts: ProviderFacts | undefined,
  written: string | null,
): { apiBase: string | null; nowhere: LeftOut | null } {
  const { params } = entry
  if (facts?.baseVariable === undefined) return { apiBase: written, nowhere: null }
  const variable = params.place.source.variable(facts.baseVariable)
  const usual = facts.isOwnServer === true ? (facts.baseUrl ?? null) : null
  const base = written ?? (variable !== null && URL.canParse(variable) ? variable.replace(/\/+$/, '') : usual)
  if (base === null) {
    const fix = `write api_base, or set ${facts.baseVariable}`
    return { apiBase: null, nowhere: leaveOut(entry, 'no api_base says where it is served', fix) }
  }
  if (facts.versionVariable === undefined) return { apiBase: base, nowhere: null }
  const version =
    params.take('api_version').text('a version')?.trim() || params.place.source.variable(facts.versionVariable)
  return { apiBase: version === null ? base : `${base}?api-version=${encodeURIComponent(version)}`, nowhere: null }
}
