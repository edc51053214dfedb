/** Anthropic's Messages as a capability: what providers that speak it take and return as it is, so that bytes pass both ways. */

import type { CutTexts } from './cut-texts.ts'
import type { DeploymentCall } from './deployment-call.ts'
import type { Member } from './json-members.ts'
import type { Stranger } from './known-members/shape.ts'
import type { MediaSize } from './media/media-size.ts'
import type {
  Provider,
  ProviderError,
  ProviderResponse,
  Refusal,
  ServerTool,
  StreamReader,
  UpstreamRequest,
} from './provider.ts'

type Json = Readonly<Record<string, unknown>>

/** A message request as the caller sent it: the bytes, but for media that were cut out, where their members are, and what was read. */
export interface MessagesRequest {
  text: Buffer
  cuts: CutTexts
  members: readonly Member[]
  json: Json
  /** The name the caller asked for. */
  model: string
  stream: boolean
  /** `max_tokens`. */
  outputCap: number
  /** Members that Anthropic's own API does not know. */
  strangers: readonly Stranger[]
  /** Of its headers, what the provider has to be told: `anthropic-version`, `anthropic-beta`. */
  headers: Readonly<Record<string, string>>
}

export interface MessagesCall
  extends Pick<DeploymentCall, 'model' | 'apiKey' | 'apiBase' | 'organization' | 'extraHeaders' | 'defaults'> {
  request: MessagesRequest
  /** The cap to send on output tokens, or null to send what the caller sent. */
  outputCap: number | null
}

export interface MessagesCapability {
  /** Whether this model is asked in it. @default every model of the provider's */
  isSpokenBy?(model: string): boolean
  /** The tokens of a block that is not text: at most, and usually. */
  mediaTokens(model: string): (block: unknown, cuts?: CutTexts) => MediaSize
  /** Tools of the provider's own that the request can trigger. */
  serverTools(json: Json): readonly ServerTool[]
  /** What of the request can't be metered. */
  refuses(json: Json): readonly Refusal[]
  /** The least cap on output that the request leaves room for. */
  leastOutput(json: Json): number
  /** Other models the request allows in the place of the one it names. */
  mayServe(json: Json): readonly string[]
  /** What is asked for of tier and place, as `tierMultiplier` takes it. */
  serviceTier(json: Json): string | null
  prepare(call: MessagesCall): UpstreamRequest
  /** A 200 body; null when it is not a response. `asked` is the model's name that the caller wrote, which is shown. */
  readResponse(body: Buffer, asked: string): ProviderResponse | ProviderError | null
  readStream(asked: string): StreamReader
}

export type MessagesProvider = Provider & { messages: MessagesCapability }
/** One that may speak it. */
export type MaybeMessagesProvider = Provider & Partial<MessagesProvider>
