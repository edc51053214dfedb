/**
 * What a provider is to the rest of the program: values and bytes in, values and bytes out. No network, no clock, no
 * database. `call/` moves the bytes; a provider says what to send and what the response means. Whatever the provider's own
 * dialect is, what comes out of it is OpenAI's.
 */

import type { CutTexts } from './cut-texts.ts'
import type { DeploymentCall } from './deployment-call.ts'
import type { Member } from './json-members.ts'
import type { Shape, Stranger } from './known-members/shape.ts'
import type { Listing } from './listing.ts'
import type { MediaSize } from './media/media-size.ts'
import type { ProviderFacts } from './provider-name.ts'
import type { Reading } from './reading.ts'
import type { Sign } from './sign.ts'

/** A chat completion request as the caller sent it: the bytes, where their members are, and what was read from them. */
export interface ChatRequest {
  text: Buffer
  /** Media that were cut out of the text. */
  cuts: CutTexts
  members: readonly Member[]
  json: Readonly<Record<string, unknown>>
  /** The name the caller asked for. */
  model: string
  stream: boolean
  /** The caller asked for the usage frame of a stream. */
  includeUsage: boolean
  /** `n`. */
  choices: number
  /** The caller's own cap on output tokens for each choice, whichever member it stands in. */
  outputCap: number | null
  /** Members that OpenAI's own API does not know. */
  strangers: readonly Stranger[]
}

export interface ProviderCall extends DeploymentCall {
  request: ChatRequest
  /** The cap to send on output tokens of each choice, or null to send what the caller sent. */
  outputCap: number | null
  /** Whether a stream is asked for its usage; false where this server was seen to reject the question. */
  askUsage: boolean
}

/** A part of a request that a provider can't honour. */
export interface Refusal {
  /** A member (`logit_bias`) or a place in it (`messages[2].content[0]`). */
  param: string
  /** What to do about it, for the caller: a sentence. */
  message: string
  /** May be left out with `drop_params`; `param` is then a member of the request. What is not droppable is always a 400. */
  droppable: boolean
}

/** A tool the provider runs itself. */
export interface ServerTool {
  /** By which the operator prices it: `web_search`. */
  kind: string
  /** The most uses the request allows; what one call may be billed for where the response states no count. */
  uses: number
  /** What it finds becomes input tokens, which nothing in the request bounds: such a call holds the operator's surcharge. */
  addsInput: boolean
  /** Each use has a fee that the provider's numbers leave to a price list; without a known fee the call is refused. */
  billedByUse: boolean
  /** Nano-dollars held where the operator names no surcharge; left out where such a call is refused. */
  usualHold?: bigint
}

/** What a response is read with. */
export interface ResponseContext {
  request: ChatRequest
  /** The provider's name of the model. */
  model: string
  /** `n`, the operator's default included. */
  choices: number
  callId: string
  /** When the call was admitted, in Unix seconds. */
  created: number
}

export interface UpstreamRequest {
  origin: string
  path: string
  headers: Record<string, string>
  body: Buffer
}

/** Tokens a second: more than models that think are seen to write, but for the families that say a figure of their own. */
export const TOP_SPEED = 200

export interface ModelFacts {
  /** Null where unknown. */
  maxOutputTokens: number | null
  /** By how many tokens it is known to pass a cap on its output, where it does. */
  capOverrun?: number
  /** Output tokens that never show in a stream: what runs up can't be seen, so a cap must be sent. */
  hiddenReasoning: boolean
  /** Tokens a second a choice of it is ever written at, hidden ones included. Left out where no figure is known: TOP_SPEED. */
  topSpeed?: number
  encoding: 'o200k_base' | 'cl100k_base'
  /** How its own count compares with that of `encoding`, in hundredths: where nobody stated usage, a count is multiplied by it. */
  countPercent: number
  /** How its own tokens compare with the estimate's, in hundredths: 130 where it makes up to 30 % more of the same text. */
  tokensPercent: number
  /** Input tokens billed beyond what the request holds: a hidden prompt, a template; and more where tools are defined. */
  hiddenInput: { always: number; withTools: number }
}

/** A complete JSON response. */
export interface ProviderResponse {
  reading: Reading
  finishReasons: string[]
  /** It says something: text, a call, sound, an image. */
  hasContent: boolean
  /** Output text no stated usage covers, for counting: all of it where none was stated, else nothing. */
  outputText(): string
  /** All text of the output: content, thoughts, names and arguments of calls. */
  shownText(): string
  /** Of those bytes. @default JSON */
  contentType?: string
  /**
   * The bytes for the caller. `usage` stands in where none was stated, and where it `replaces` the statement: what is shown is what was
   * charged. `cost` (dollars, a JSON number) becomes `usage.cost` in place of whatever the provider says of its own costs; null leaves
   * those as they are (the caller's own key paid).
   */
  body(cost: string | null, usage: unknown, replaces?: boolean): Buffer
}

/** Reads one stream. `push` returns the bytes that may go to the caller now: as received wherever possible. */
export interface StreamReader {
  push(chunk: Buffer): StreamPart
  /** The connection ended: what is still to be read. */
  end(): StreamPart
  readonly reading: Reading
  /** What was stated last came with the end of the response, or with its error. What a stream states while it runs is no bill. */
  readonly isFinal: boolean
  readonly finishReasons: readonly string[]
  /** It said something: text, a call, sound, an image. A role, an empty delta, a finish reason say nothing. */
  readonly hasContent: boolean
  /** Frames with content forwarded so far, a lower bound of the output tokens shown. */
  readonly frames: number
  /**
   * Bytes of what was forwarded that can be text, never fewer than the text has: as no vocabulary makes more tokens than bytes, this
   * many tokens were shown at most. Known without reading the text.
   */
  readonly shownBytes: number
  /** Output text forwarded since usage was last stated, for counting: all of it where it never was. */
  outputText(): string
  /** All output text forwarded after `position`, whether usage covers it or not; from the start when left out. */
  shownText(position?: number): string
  /** The same as `outputText`, only what was forwarded after `position`; 0 is the start. Returns the position to go on from. */
  textSince(position: number): { text: string; position: number }
  /** The usage frame for a caller who asked for it; the parameters are those of a whole response's `body`. */
  usageFrame(cost: string | null, usage: unknown, replaces?: boolean): Buffer
  /** Frames that end the choices not yet finished, with finish reason `length`. */
  stopFrames(): Buffer
}

export interface StreamPart {
  /** Null: nothing to forward yet. */
  bytes: Buffer | null
  /** The stream said it is over. */
  done: boolean
  /** The stream failed; `bytes` came before it. */
  error: ProviderError | null
}

export type ProviderErrorKind =
  | 'bad_request'
  | 'model_not_found'
  | 'too_large'
  | 'context_length'
  | 'content_filter'
  | 'rate_limit'
  | 'quota'
  | 'auth'
  | 'overloaded'
  | 'failed'
  | 'timeout'
  | 'unreachable'

/** What is about the request, and may be said to whoever made it. */
export const ABOUT_REQUEST: ReadonlySet<ProviderErrorKind> = new Set([
  'bad_request',
  'model_not_found',
  'too_large',
  'context_length',
  'content_filter',
])

/** Why a provider did not respond. `message` may be shown to the caller: no keys, no account ids, nothing of ours. */
export interface ProviderError {
  kind: ProviderErrorKind
  status: number | null
  message: string
  type: string | null
  code: string | null
  param: string | null
  retryAfterMs: number | null
  /** For the operator's log only. */
  internal: string
  /** The server does not know this member, which we added: the call may be made again without it. */
  rejects?: 'usage_question'
  /** Nobody was asked: we had no connection to give, or may not call. */
  isOurs?: true
  /** The request went out and nobody knows what came of it: the provider may have done the work and bill it. */
  isUnknown?: true
  /** What the failed response says it used, where it does and not that it was free: that is charged. */
  consumed?: Reading
}

/** Models of the price data set that a provider serves. */
export interface ModelList {
  /** In the data set. */
  provider: string
  /** Those it serves, where it does not serve all. */
  only?: RegExp
  /** What a caller adds to their names. */
  suffix?: string
}

/** What a provider is, whatever it is asked for; and what it can do, one capability an endpoint, each left out where it can't. */
export interface Provider extends ProviderFacts {
  name: string
  /** As shown to callers: `OpenAI`. */
  label: string
  /** Of the public API, without a trailing slash. */
  baseUrl: string
  /** A call that was broken off is billed to its end all the same: its stream is read on, for a while, to learn the bill. */
  billsAbandoned: boolean
  /** It states what it bills beside its counts; left out where it does not. */
  statesCost?: boolean
  /** `json`: the request's members, where a fact depends on them (thinking that was not asked for is not hidden). */
  model(name: string, json?: Readonly<Record<string, unknown>>): ModelFacts
  /** Millionths on the price for a service tier, asked or served. */
  tierMultiplier(tier: string | null, model: string): bigint
  /** The name whose price a call has: of the model that served, or of the one that was asked for where that alone tells. */
  pricedAs(asked: string, served: string | null): string
  /** Where the price data set lists a model under such a name, for a deployment at such an address; null where it can't. */
  listedAs(model: string, apiBase?: string | null): Listing | null
  /** Where the price data set lists the models it serves. Left out: under the one name that prices them, all of them. */
  modelLists?: readonly ModelList[]
  /** It sells models of others, which change daily: some cost nothing, and their names may begin with its own. */
  isRouter?: boolean
  /** Why no price can be known for such a name, and what to ask for instead; null where nothing special is to be said. */
  unpriced(model: string): string | null
  readError(
    status: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
    body: Buffer,
  ): ProviderError
  /** The headers that say who asks, for one that takes no key as it is; left out elsewhere, where `prepare` sends the key. */
  sign?: Sign
  /** Chat completions, whatever its own dialect is. */
  chat?: ChatCapability
}

export type ChatProvider = Provider & { chat: ChatCapability }

export interface ChatCapability {
  /** Whether it would not fetch what a part names by this http(s) URL: that is put into the request before the quote. Null: it fetches all. */
  mustInline: ((url: string) => boolean) | null
  /** The tokens of a content part that is not text: at most, and usually. */
  mediaTokens(model: string): (part: unknown, cuts?: CutTexts) => MediaSize
  /** A tool call's id as its model gave it, and what it carries for this provider (signed thoughts) as the text that is sent. */
  unpackId(id: string): { id: string; carried: string }
  /** Tools of the provider's own that the request (its members, the operator's defaults included) can trigger. */
  serverTools(json: Readonly<Record<string, unknown>>, model: string): readonly ServerTool[]
  /**
   * What it takes beyond OpenAI's own members, at its host or behind an `apiBase`: all else is not forwarded. Null where nothing is
   * forwarded, because requests are translated, and `refuses` names what can't be.
   */
  takes(apiBase: string | null): Shape | null
  /** What of the request this model can't honour. */
  refuses(json: Readonly<Record<string, unknown>>, model: string): readonly Refusal[]
  /**
   * The least cap on output that the request leaves room for, where it says how much is to be thought: with a smaller one it would
   * contradict itself. Where it is left out, any.
   */
  leastOutput?(json: Readonly<Record<string, unknown>>, model: string): number
  /** Whether a model draws beside what it writes, asked or not: no cap is known to bound an image's tokens. @default it does not */
  draws?(model: string): boolean
  /** Other models the request allows in the place of the one it names: the dearest of all is held. */
  mayServe(json: Readonly<Record<string, unknown>>): readonly string[]
  prepare(call: ProviderCall): UpstreamRequest
  /** A 200 body; null when it is not a response. */
  readResponse(body: Buffer, context: ResponseContext): ProviderResponse | ProviderError | null
  readStream(context: ResponseContext): StreamReader
}
