/**
 * The row of facts by which a provider of OpenAI's dialect differs from OpenAI. It stands apart from what reads it: request, response,
 * stream and errors all take such a row, and `openai-dialect.ts` makes a provider of it and them.
 */
import type { ResponsesFacts } from './openai-responses/facts.ts'
import type { UsageRules } from './openai-usage.ts'
import type {
  ChatCapability,
  ModelFacts,
  ModelList,
  ProviderCall,
  ProviderErrorKind,
  Refusal,
  ServerTool,
} from './provider.ts'
import type { ProviderFacts } from './provider-name.ts'

type Json = Readonly<Record<string, unknown>>

/** What an error body holds, in whatever shape. Texts are freed of keys and account ids. */
export interface ErrorMembers {
  message: string | null
  type: string | null
  code: string | null
  param: string | null
}

/** What members of ours depend on. */
export interface Added extends Pick<ProviderCall, 'maxPrice' | 'outputCap' | 'defaults' | 'drop' | 'dropAt'> {
  request: { json: Json }
}

export interface OpenAiFacts
  extends Pick<
    ProviderFacts,
    'keyVariables' | 'domain' | 'baseVariable' | 'versionVariable' | 'isOwnServer' | 'alsoNamed'
  > {
  name: string
  label: string
  baseUrl: string
  /** @default none */
  bareName?: RegExp
  /** The path of one of its routes, from the path of its base URL. @default the route behind the base */
  pathOf?(base: string, path: string, at: { search: string; model: string }): string
  /** The header that carries the key. @default a bearer token */
  keyHeader?(key: string): Record<string, string>
  /** False: it refuses the question for the usage of a stream, and says it unasked. @default true */
  asksUsage?: boolean
  /** Its name in the price data set. @default `name` */
  priceList?: string
  /** @default the model's own name in that list */
  listedAs?(model: string): { provider: string; model: string } | null
  /** @default all that are listed under that name */
  modelLists?: readonly ModelList[]
  /** @default false */
  isRouter?: boolean
  /** The name sent upstream. @default the one in the configuration */
  sentAs?(model: string): string
  /** @default false */
  billsAbandoned?: boolean
  model(name: string, json?: Json): ModelFacts
  mediaTokens: ChatCapability['mediaTokens']
  /** @default what another provider's id carries is cut off */
  unpackId?: ChatCapability['unpackId']
  /** Others who serve its models by its rules: their domains. @default none */
  alsoAt?: readonly string[]
  /** Where it takes the cap on output: the other member is renamed. `either` leaves what the caller wrote, at its own host. */
  capMember(model: string): 'max_tokens' | 'max_completion_tokens' | 'either'
  /** @default the list price for every tier */
  tierMultiplier?(tier: string | null, model: string): bigint
  /** @default none */
  serverTools?(json: Json, model: string): readonly ServerTool[]
  /** Members left out where they say no more than this: it refuses their mere name. @default none */
  saysNothing?: Readonly<Record<string, unknown>>
  /** Members it is sent beside the caller's, as JSON text. @default none */
  adds?(call: Added): Readonly<Record<string, string>>
  /** @default nothing */
  refuses?(json: Json, model: string): readonly Refusal[]
  /** @default any */
  leastOutput?(json: Json): number
  /** @default none but the model asked for */
  mayServe?(json: Json): readonly string[]
  /** @default the model that served, where it says so */
  pricedAs?(asked: string, served: string | null): string
  /** @default nothing special */
  unpriced?(model: string): string | null
  /** @default none */
  draws?(model: string): boolean
  usage?: UsageRules
  /** Its own bill, from its usage object, in 10^-21 dollars. @default none */
  readCost?(usage: Json): bigint | null
  /** Uses of its own tools that the response states, by kind; `chunk` is a whole response or a frame. @default none */
  readToolUses?(usage: Json, chunk: Json): Record<string, number>
  /** Several models served: their names and usage objects. @default one */
  readModels?(chunk: Json): readonly { model: string; usage: unknown }[]
  /** It speaks Responses. @default it does not */
  responses?: ResponsesFacts
  /** Looks before OpenAI's rules do; null leaves it to them. */
  errorKind?(status: number | null, error: ErrorMembers): ProviderErrorKind | null
}
