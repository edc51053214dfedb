/** Gemini's generateContent as a capability: what a provider that speaks it takes and returns as it is, so that bytes pass both ways. */
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

/** A request in its one spelling: the bytes, where their members are, and what was read from them. */
export interface GenerateRequest {
  text: Buffer
  /** Media that were cut out of the text. */
  cuts: CutTexts
  members: readonly Member[]
  json: Json
  /** The name the caller asked for. */
  model: string
  stream: boolean
  /** Members that Google's own API does not know. */
  strangers: readonly Stranger[]
}

export interface GenerateCall
  extends Pick<DeploymentCall, 'model' | 'apiKey' | 'apiBase' | 'organization' | 'extraHeaders' | 'defaults'> {
  request: GenerateRequest
  /** The cap to send on output tokens of each candidate, or null to send what the caller sent. */
  outputCap: number | null
}

/** Of a request with the operator's defaults, what a hold goes by. */
export interface GenerateAsked {
  json: Json
  choices: number
  /** For each choice; null where none is stated. */
  outputCap: number | null
  /** Pictures or sound may be written, whose tokens no cap is known to bound. */
  mayDraw: boolean
  /** Sound is asked for. */
  speaks: boolean
}

export interface GenerateCapability {
  /** Whether what listens there speaks it for this model. */
  isSpokenAt(apiBase: string | null, model: string): boolean
  /** The request with what the operator set for the deployment. */
  ask(json: Json, model: string, defaults: Json): GenerateAsked
  /** The tokens of a part that is not text: at most, and usually. */
  mediaTokens(model: string): (part: unknown, cuts?: CutTexts) => MediaSize
  /** Tools of the provider's own that the request can trigger. */
  serverTools(json: Json, model: string): readonly ServerTool[]
  /** What of the request can't be metered. */
  refuses(json: Json): readonly Refusal[]
  /** The least cap on output that the request leaves room for. */
  leastOutput(json: Json): number
  prepare(call: GenerateCall): UpstreamRequest
  /** A 200 body; null when it is not a response. `asked` is the model's name that the caller wrote, which is shown. */
  readResponse(body: Buffer, asked: string, model: string): ProviderResponse | ProviderError | null
  readStream(asked: string, model: string): StreamReader
}

export type GenerateProvider = Provider & { generate: GenerateCapability }
/** One that may speak it. */
export type MaybeGenerateProvider = Provider & Partial<GenerateProvider>
