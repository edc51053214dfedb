/**
 * What call/ needs from an endpoint. An endpoint reads its request, says what it may cost on a deployment, and renders responses and
 * streams in its dialect. It does not know credits, and call/ does not know dialects. A new endpoint is a folder of endpoints/ that
 * implements `Endpoint`, and a capability of the providers that have it.
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { Form } from '../../providers/flat-request.ts'
import type {
  ModelFacts,
  Provider,
  ProviderError,
  ProviderErrorKind,
  ProviderResponse,
  ServerTool,
  StreamReader,
  UpstreamRequest,
} from '../../providers/provider.ts'
import type { Unit, Usage } from '../../providers/usage.ts'
import type { RateState } from '../admission/rate-limits.ts'
import type { Deployment, Plan, PowerLevel } from '../config/config.ts'
import type { Fallbacks } from '../config/routing-settings.ts'
import type { MediaOf } from '../http/cut-json.ts'
import type { TollgateError } from '../http/errors.ts'
import type { JsonObject } from '../http/json-object.ts'
import type { InputEstimate } from '../metering/estimate.ts'

export interface Endpoint {
  /** A quote and an Idempotency-Key are bound to this name besides the body: the same body is another request at another endpoint. */
  readonly name: string
  /** The `service_type` of its holds and of its rows in the books. */
  readonly serviceType: string
  /** Whether a member is its dialect's where LiteLLM has one of that name. @default it is LiteLLM's */
  isOwnMember?(name: string, value: unknown): boolean
  /** Places of long media, which are cut out before the body is parsed; left out where a dialect has none. */
  mediaOf?: MediaOf
  /** @throws {TollgateError} 400, naming the member that is wrong. */
  read(body: JsonObject, sent?: SentRequest): EndpointRequest
  /** Reads a multipart form, where the endpoint takes one. @throws {TollgateError} 400. */
  readForm?(form: Form, sent: SentRequest): EndpointRequest
  /** The body of an error, in the endpoint's dialect. */
  errorBody(error: TollgateError): unknown
  /** An error as the client that asked takes it, where that is another one; left out where it never is. */
  errorFor?(error: TollgateError, asked: IncomingHttpHeaders): TollgateError
  /** Headers that its clients read besides those of every call; left out where there are none. */
  readonly headers?: EndpointHeaders
  /** Usage in the form that its callers read. */
  usageShape(usage: Usage): unknown
  /** Adds to a whole response what the call was and cost; left out where no caller reads that in the body. */
  addReceipt?(body: Buffer, receipt: Receipt): Buffer
  readonly stream: StreamForm
}

export interface EndpointHeaders {
  /** Of the limit of calls a minute that has least left. */
  rate?(state: RateState): Readonly<Record<string, string>>
  /** Of what the payer has left. */
  credits?(left: CreditsLeft): Readonly<Record<string, string>>
}

export interface CreditsLeft {
  /** Microcredits; below zero where the payer overspent. */
  balance: bigint
  /** Another call may be made. */
  isEnough: boolean
  isUnlimited: boolean
}

/** A request as it arrived. */
export interface SentRequest {
  text: Buffer
  headers: IncomingHttpHeaders
}

/** What a settled call was and cost. */
export interface Receipt {
  callId: string
  /** The provider that served it. */
  provider: string
  /** True if the caller's own key paid the provider. */
  isByok: boolean
  powerLevel: PowerLevel
  /** The plan of the organization that pays. */
  plan: Plan | null
  /** Microcredits. */
  charged: bigint
  /** Microcredits; null where the settlement waits for the database. */
  remaining: bigint | null
}

/** How a stream looks to callers. */
export interface StreamForm {
  readonly contentType: string
  /** Keeps the connection open before there is content; null where nothing may precede content. */
  readonly keepAlive: Buffer | null
  /** Tells the caller that the settlement waits for the database. */
  readonly pending: Buffer
  /** The end of every stream that did not fail. */
  readonly end: Buffer
  /**
   * An error after the headers have left. Null where the dialect has no way to say it: the stream is cut off then. `isDelivered`: content
   * of the response went before it.
   */
  error(error: TollgateError, isDelivered: boolean): Buffer | null
}

/** A request after it was read; it does not change. */
export interface EndpointRequest {
  /** The body as it was sent: an Idempotency-Key is bound to it. */
  readonly text: Buffer
  /** The name that was asked for. */
  readonly model: string
  readonly stream: boolean
  /** The form of its stream, where that depends on the request. @default the endpoint's form */
  readonly streamForm?: StreamForm
  /** True if the caller wants the usage at the end of a stream. */
  readonly includeUsage: boolean
  /** What it asks of routing, in LiteLLM's words; left out for nothing. */
  readonly asks?: RoutingAsked
  /** The power level, as the body states it. */
  readonly powerLevel: unknown
  /** What it names of earlier responses, and what of its own may be named later; left out where nothing can be. */
  readonly memory?: RequestMemory
  /** True if the request has words of the caller's that a server's complaint about our question for usage may quote. */
  mentionsUsageQuestion(): boolean
  /** Media that are named by URL and that one of the deployments would not fetch; null where there are none. */
  remoteMedia(deployments: readonly Deployment[]): RemoteMedia | null
  /** @throws {TollgateError} 400 where the deployment can't serve it. */
  termsOn(deployment: Deployment): Terms
}

/** Members and headers of LiteLLM's, which are read here and never sent. */
export interface RoutingAsked {
  numRetries?: number
  timeoutMs?: number
  streamTimeoutMs?: number
  /** In the place of the operator's, of their kind. */
  fallbacks?: Partial<Fallbacks>
  isWithoutFallbacks?: boolean
  tags?: readonly string[]
  /** For whom of the caller's own customers the call is made: `user`, or a header. */
  endUser?: string
  /** The group that is asked for fails so, without being asked: a trial of what stands in for it. */
  mockFailure?: ProviderErrorKind
  /** In the place of the operator's word. */
  dropParams?: boolean
}

/** What a request names of earlier calls, and what of its own can be named later. */
export interface RequestMemory {
  /** Ids of what earlier calls made. */
  readonly names: readonly string[]
  /** The same request with what was found in their places. @throws {TollgateError} 400, 413. */
  filled(found: ReadonlyMap<string, string>): EndpointRequest
  /** What may be named later, of its response as the caller gets it: the whole body, or what ends a stream. */
  given(end: Buffer): readonly Named[]
}

/** What can be named by its id. */
export interface Named {
  id: string
  /** JSON. */
  kept: string
}

export interface RemoteMedia {
  /** How many there are. */
  readonly count: number
  /** The member they stand in, for errors. */
  readonly param: string
  /** Returns the places of the media, and a function that makes the request with the places filled. */
  open(): { places: readonly RemotePlace[]; filled(): EndpointRequest }
}

export interface RemotePlace {
  url: string
  /** `messages[0].content[1].image_url.url` */
  param: string
  put(dataUrl: string): void
}

/** What a request may cost on one deployment, and how it is sent and read back. */
export interface Terms {
  readonly provider: Provider
  /** Facts of the model that hold for this request. */
  readonly facts: ModelFacts
  readonly estimate: InputEstimate
  /** The bytes of the request that may become input to some server, known members or not. */
  readonly requestBytes: number
  /** How many responses are asked for at once. */
  readonly choices: number
  /** The cap on output tokens of each choice, the caller's or the operator's. */
  readonly outputCap: number | null
  /** The smallest cap that does not contradict the request. */
  readonly leastOutput: number
  /** False where the operator lets unknown members through: one of them may lift the cap. */
  readonly isCapBelieved: boolean
  /** The tools that the provider itself runs. */
  readonly tools: readonly ServerTool[]
  /** The call makes no output, so output needs no price. @default false */
  readonly isInputOnly?: boolean
  /** Units that the call is billed by instead of tokens, if the first of them has a price. The estimate has their number. @default none */
  readonly units?: readonly Unit[]
  /** Why nothing bounds the output tokens: the call is then made only where it is billed by `units`. @default the output is bounded */
  readonly unboundedOutput?: string
  /** The provider bills nothing for such a call: where the operator wrote no price, none is needed. @default false */
  readonly isFree?: boolean
  /** How many separate inputs the request has, each within the model's context window. @default 1 */
  readonly inputs?: number
  /** Other models that the request allows instead of the one it names. */
  readonly mayServe: readonly string[]
  /** The service tier that the request asks for; null for none. */
  readonly serviceTier: string | null
  readonly asksForAudio: boolean
  /** Cache entries that live an hour cost more than those of five minutes. */
  readonly asksForLongCache: boolean
  /** What surely becomes input: texts to count, and the number of tokens around them. */
  inputTexts(): { texts: readonly string[]; framing: number }
  prepare(sending: Sending): OutgoingRequest
  /** A 200 body; null when it is not a response. */
  readWhole(body: Buffer, context: ReadContext): ProviderResponse | ProviderError | null
  readStream(context: ReadContext): StreamReader
  /** Makes the response of a deployment with a `mock_response`; null where a provider is called. */
  readonly mock: ((context: MockContext) => { whole: Buffer; frames: readonly Buffer[] }) | null
}

/** The body is the sequence of its pieces, so that the caller's media are sent without a copy. */
export interface OutgoingRequest extends Omit<UpstreamRequest, 'body'> {
  body: readonly Buffer[]
}

export interface Sending {
  apiKey: string | null
  organization: string | null
  extraHeaders: Readonly<Record<string, string>>
  /** Null to send what the caller sent. */
  outputCap: number | null
  /** The highest price that the quote assumed; null where nothing is charged here. */
  maxPrice: { input: bigint; output: bigint } | null
  /** True to ask the provider to state the usage in the stream. */
  asksUsage: boolean
}

export interface ReadContext {
  callId: string
  /** Unix seconds. */
  created: number
}

export interface MockContext extends ReadContext {
  outputCap: number | null
}
