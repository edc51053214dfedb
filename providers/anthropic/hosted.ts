/**
 * Claude where others host it: requests are Anthropic's, but the path names the model, the body names the version, and tiers and places
 * are the host's own. Features by `anthropic-beta` go where the host looks for them.
 */
import { type Change, changeMembers } from '../json-members.ts'
import type { MessagesCall } from '../messages.ts'
import type { ProviderCall } from '../provider.ts'
import { nativeChanges } from './native/native-request.ts'
import { namesIn } from './target.ts'
import { translateCall } from './translated.ts'

export interface Host {
  /** `bedrock-2023-05-31` */
  version: string
  /** False: the path alone says whether a stream is asked for. */
  takesStream: boolean
  /** True: features stand in the body, since nobody reads its headers. */
  betasInBody: boolean
}

export interface HostedBody {
  body: Buffer
  betas: readonly string[]
}

/** A Claude model by the names hosts give it: `us.anthropic.claude-sonnet-4-5-20250929-v1:0`, `claude-opus-4-1@20250805`. */
export function isClaude(model: string): boolean {
  return /(?:^|[./])claude-/.test(model)
}

/** A chat completion, translated. */
export function hostedChat(call: ProviderCall, host: Host): HostedBody {
  const { body: own, betas: asked } = translateCall(call)
  const { model: _, service_tier: __, stream, ...rest } = own
  const betas = unique([...namesIn(headerOf(call.extraHeaders)), ...asked])
  const body = {
    anthropic_version: host.version,
    ...rest,
    ...(stream === true && host.takesStream ? { stream } : {}),
    ...(host.betasInBody && betas.length > 0 ? { anthropic_beta: betas } : {}),
  }
  return { body: Buffer.from(JSON.stringify(body)), betas }
}

/** Members of Anthropic's that say nothing to a host: who is asked, and the usual tier. */
const OWN: readonly (readonly [member: string, isNeutral: (value: unknown) => boolean])[] = [
  ['model', () => true],
  ['service_tier', (value) => value === 'auto' || value === 'standard_only' || value === null],
]

/** A message as it was sent. */
export function hostedMessage(call: MessagesCall, host: Host): HostedBody {
  const { text, members, json, headers } = call.request
  const changes: Change[] = nativeChanges(call)
  const drop = host.takesStream ? OWN : [...OWN, ['stream', () => true] as const]
  for (const [key, isNeutral] of drop)
    if (Object.hasOwn(json, key) && isNeutral(json[key])) changes.push({ key, remove: true })
  changes.push({ key: 'anthropic_version', value: JSON.stringify(host.version) })
  const betas = unique([...namesIn(headerOf(call.extraHeaders)), ...namesIn(headers['anthropic-beta'])])
  if (host.betasInBody && betas.length > 0) changes.push({ key: 'anthropic_beta', value: JSON.stringify(betas) })
  return { body: changeMembers(text, members, changes), betas }
}

function headerOf(headers: Readonly<Record<string, string>>): string | undefined {
  return Object.entries(headers).find(([name]) => name.toLowerCase() === 'anthropic-beta')?.[1]
}

function unique(names: readonly string[]): string[] {
  return [...new Set(names)]
}
