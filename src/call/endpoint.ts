/**
 * What call/ needs of an endpoint. An endpoint reads its request, says what it may cost on a deployment, and renders responses and
 * streams in its dialect. It knows nothing of credits; call/ knows nothing of what is asked for. A new endpoint is a folder of
 * endpoints/ that implements `Endpoint`, and a capability of the providers that have it.
 */
import type { IncomingHttpHeaders } from 'node:http'
import type {
  ModelFacts,
  Provider,
  ProviderError,
  ProviderResponse,
  ServerTool,
  StreamReader,
  UpstreamRequest,
} from '../../providers/provider.ts'
import type { Usage } from '../../providers/usage.ts'
import type { Deployment, Plan, PowerLevel } from '../config/config.ts'
import type { TollgateError } from '../http/errors.ts'
import type { JsonObject } from '../http/json-object.ts'
import type { InputEstimate } from '../metering/estimate.ts'

export interface Endpoint {
  /** What a quote and an Idempotency-Key are bound to besides the body: the same body asks another endpoint for something else. */
  readonly name: string
  /** `service_type` of its holds and of its rows in the books. */
  readonly serviceType: string
  /** @throws {TollgateError} 400, naming the member that is wrong. */
  read(body: JsonObject, sent?: SentRequest): EndpointRequest
  /** The body of an error in its dialect. */
  errorBody(error: TollgateError): unknown
  /** Usage as its callers read it. */
  usageShape(usage: Usage): unknown
  /** A whole response with what its call was and cost, for callers who read that in the body; left out where none do. */
  addReceipt?(body: Buffer, receipt: Receipt): Buffer
  readonly stream: StreamForm
}

/** A request as it came. */
export interface SentRequest {
  text: Buffer
  headers: IncomingHttpHeaders
}

/** What a settled call was and cost. */
export interface Receipt {
  callId: string
  /** Who served it. */
  provider: string
  /** The caller's own key paid the provider. */
  isByok: boolean
  powerLevel: PowerLevel
  /** Of the organization that pays. */
  plan: Plan | null
  /** Microcredits. */
  charged: bigint
  /** Microcredits; null where the settlement waits for the database. */
  remaining: bigint | null
}

/** How a stream looks to callers. */
export interface StreamForm {
  readonly contentType: string
  /** Keeps the connection open before anything is there to be shown. */
  readonly keepAlive: Buffer
  /** Says that the settlement waits for the database. */
  readonly pending: Buffer
  /** What every stream that did not fail ends with. */
  readonly end: Buffer
  /** An error that comes after the headers have left. */
  error(error: TollgateError): Buffer
}

/** A request that was read; it does not change. */
export interface EndpointRequest {
  /** The body as it was sent: what an Idempotency-Key is bound to. */
  readonly text: Buffer
  /** The name that was asked for. */
  readonly model: string
  readonly stream: boolean
  /** The caller wants the usage at the end of a stream. */
  readonly includeUsage: boolean
  /** The power level, as the body states it. */
  readonly powerLevel: unknown
  /** A word of the caller's may be what a server says of our question for usage. */
  mentionsUsageQuestion(): boolean
  /** What is named by URL and one of the deployments would not fetch; null where there is nothing. */
  remoteMedia(deployments: readonly Deployment[]): RemoteMedia | null
  /** @throws {TollgateError} 400 where the deployment can't serve it. */
  termsOn(deployment: Deployment): Terms
}

export interface RemoteMedia {
  /** How many there are. */
  readonly count: number
  /** The member they stand in, for errors. */
  readonly param: string
  /** A copy of the request, whose places are to be filled. */
  open(): { places: readonly RemotePlace[]; filled(): EndpointRequest }
}

export interface RemotePlace {
  url: string
  /** `messages[0].content[1].image_url.url` */
  param: string
  put(dataUrl: string): void
}

/** What a request may cost on one deployment, and how it gets there and back. */
export interface Terms {
  readonly provider: Provider
  /** Of the model, with this request. */
  readonly facts: ModelFacts
  readonly estimate: InputEstimate
  /** Whatever we know of its members: so many bytes of the request may be input to some server. */
  readonly requestBytes: number
  /** How many responses are asked for at once. */
  readonly choices: number
  /** The cap on output tokens of each choice, the caller's or the operator's. */
  readonly outputCap: number | null
  /** With a smaller cap the request would contradict itself. */
  readonly leastOutput: number
  /** Members nobody knows go along, by the operator's word: no cap is believed then. */
  readonly isCapBelieved: boolean
  /** Tools the provider runs itself. */
  readonly tools: readonly ServerTool[]
  /** Nothing is written: output has no price and needs none. @default false */
  readonly isInputOnly?: boolean
  /** How many inputs are read apart from each other, each within the model's context window. @default 1 */
  readonly inputs?: number
  /** Other models the request allows in the place of the one it names. */
  readonly mayServe: readonly string[]
  /** The service tier that is asked for; null for none. */
  readonly serviceTier: string | null
  readonly asksForAudio: boolean
  /** Cache entries that live an hour cost more than those of five minutes. */
  readonly asksForLongCache: boolean
  /** What becomes input for sure: texts to be counted, and tokens around them. */
  inputTexts(): { texts: readonly string[]; framing: number }
  prepare(sending: Sending): OutgoingRequest
  /** A 200 body; null when it is not a response. */
  readWhole(body: Buffer, context: ReadContext): ProviderResponse | ProviderError | null
  readStream(context: ReadContext): StreamReader
  /** What stands in for the provider where the deployment has a `mock_response`; null where a provider is called. */
  readonly mock: ((context: MockContext) => { whole: Buffer; frames: readonly Buffer[] }) | null
}

/** Its body is all of the pieces, one after the other: a medium of the caller's is sent on as it came, uncopied. */
export interface OutgoingRequest extends Omit<UpstreamRequest, 'body'> {
  body: readonly Buffer[]
}

export interface Sending {
  apiKey: string | null
  organization: string | null
  extraHeaders: Readonly<Record<string, string>>
  /** Null to send what the caller sent. */
  outputCap: number | null
  /** What the quote assumed at most; null where nobody pays here. */
  maxPrice: { input: bigint; output: bigint } | null
  /** A stream is asked for its usage. */
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
