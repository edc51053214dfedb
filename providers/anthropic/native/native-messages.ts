/** Messages for those who speak them: requests and responses pass as they are, but for what is priced, capped and shown. */
import { asObject } from '../../json.ts'
import type { MessagesCapability } from '../../messages.ts'
import type { Refusal } from '../../provider.ts'
import { leastOutput } from '../thinking.ts'
import { advisors, claudeServerTools } from '../tools.ts'
import { blockTokens } from './native-media.ts'
import { prepareNative } from './native-request.ts'
import { readNativeResponse } from './native-response.ts'
import { readNativeStream } from './native-stream.ts'

type Json = Readonly<Record<string, unknown>>

export const nativeMessages: MessagesCapability = {
  mediaTokens: blockTokens,
  serverTools: claudeServerTools,
  refuses,
  leastOutput,
  mayServe: (json) => [...advisors(json), ...fallbackModels(json)],
  serviceTier,
  prepare: prepareNative,
  readResponse: readNativeResponse,
  readStream: readNativeStream,
}

/** Members whose cost is not in what the response states, or is somebody else's. */
const UNMETERED: readonly (readonly [member: string, message: string])[] = [
  ['thread', 'What a thread holds can’t be priced before the call. Send the conversation in "messages".'],
  ['fallback_credit_token', 'Credits of another account are not taken here.'],
  ['billing_policy', 'Who is billed is not the caller’s to say here.'],
  ['workspace_id', 'Which account is billed is not the caller’s to say here.'],
  ['user_profile_id', 'What a profile holds can’t be priced before the call.'],
]

function refuses(json: Json): Refusal[] {
  const refusals = UNMETERED.filter(([member]) => (json[member] ?? null) !== null).map(([param, message]) => ({
    param,
    message: `${message} Leave '${param}' out.`,
    droppable: false,
  }))
  const { speed = null } = json
  if (speed === null || speed === 'standard') return refusals
  return [...refusals, { param: 'speed', message: "Only speed 'standard' is metered here.", droppable: false }]
}

function fallbackModels({ fallbacks }: Json): string[] {
  const listed: unknown[] = Array.isArray(fallbacks) ? fallbacks : []
  return listed.map((one) => (typeof one === 'string' ? one : asObject(one)?.model)).filter(isText)
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

/** Inference kept in the United States is said after the tier. */
function serviceTier({ service_tier: tier, inference_geo: place }: Json): string | null {
  const named = typeof tier === 'string' ? tier : null
  return place === 'us' ? `${named ?? 'standard'} us` : named
}
