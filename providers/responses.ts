/** OpenAI's Responses as a capability: what providers that speak it take and return as it is, so that bytes pass both ways. */

import type { CutTexts } from './cut-texts.ts'
import type { DeploymentCall } from './deployment-call.ts'
import type { Member } from './json-members.ts'
import type { Shape, Stranger } from './known-members/shape.ts'
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

/** A request for a response as the caller sent it: the bytes, but for media that were cut out, where their members are, and what was read. */
export interface ResponsesRequest {
  text: Buffer
  cuts: CutTexts
  members: readonly Member[]
  json: Json
  /** The name the caller asked for. */
  model: string
  stream: boolean
  /** `max_output_tokens`. */
  outputCap: number | null
  /** Members that OpenAI's own API does not know. */
  strangers: readonly Stranger[]
}

export interface ResponsesCall extends DeploymentCall {
  request: ResponsesRequest
  /** The cap to send on output tokens, or null to send what the caller sent. */
  outputCap: number | null
}

export interface ResponsesCapability {
  /** Whether the server there, null for the provider's own, is known to speak it. */
  speaksAt(apiBase: string | null): boolean
  /** What it takes beyond OpenAI's own members. */
  takes: Shape
  /** Below these, members that nobody knows pass: its own host reads no more of them than their bytes. */
  passesBelow(apiBase: string | null): readonly string[]
  /** The operator's defaults, which are written in the words of chat completions, in those of this dialect. */
  defaultsOf(defaults: Json): Json
  /** The tokens of a medium, given as a part of a chat completion: at most, and usually. */
  mediaTokens(model: string): (part: unknown, cuts?: CutTexts) => MediaSize
  /** Tools of the provider's own that the request can trigger. */
  serverTools(json: Json, model: string): readonly ServerTool[]
  /** What of the request can't be metered or is not served. `isKept`: the operator lets the provider keep responses. */
  refuses(json: Json, model: string, isKept: boolean): readonly Refusal[]
  /** The least cap on output that the request leaves room for. */
  leastOutput(json: Json): number
  /** Other models the request allows in the place of the one it names. */
  mayServe(json: Json): readonly string[]
  prepare(call: ResponsesCall): UpstreamRequest
  /** A 200 body; null when it is not a response. `asked` is the model's name that the caller wrote, which is shown. */
  readResponse(body: Buffer, asked: string): ProviderResponse | ProviderError | null
  readStream(asked: string): StreamReader
}

export type ResponsesProvider = Provider & { responses: ResponsesCapability }
/** One that may speak it. */
export type MaybeResponsesProvider = Provider & Partial<ResponsesProvider>
