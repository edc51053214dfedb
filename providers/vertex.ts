/**
 * Google's Vertex AI: Gemini in Google's dialect and Claude in Anthropic's, told apart by their names, each by the code of google/ and
 * anthropic/. Where things are: in vertex/, target (address), sign and credentials (who asks); in anthropic/, hosted (Claude's body).
 */
import { unpackClaudeId } from './anthropic/carried.ts'
import { readClaudeError } from './anthropic/errors.ts'
import { type Host, type HostedBody, hostedChat, hostedMessage, isClaude } from './anthropic/hosted.ts'
import { claudeFacts, isPricedByPlace } from './anthropic/models.ts'
import { nativeMessages } from './anthropic/native/native-messages.ts'
import { translatedClaude } from './anthropic/translated.ts'
import type { CloudFacts } from './cloud.ts'
import type { GenerateProvider } from './generate.ts'
import { readGoogleError } from './google/errors.ts'
import { bareModel, generation, googleModel, googleTier } from './google/models.ts'
import { passedGenerate } from './google/passed/passed-generate.ts'
import { preparePassed } from './google/passed/passed-request.ts'
import { prepareGoogle } from './google/request.ts'
import { google } from './google.ts'
import { asObject, parseJson } from './json.ts'
import { CLAUDE_CACHE_WRITES, type Listing } from './listing.ts'
import type { MessagesCall, MessagesProvider } from './messages.ts'
import { ownHeaders } from './own-headers.ts'
import type { ChatCapability, ChatProvider, ProviderCall, Refusal, UpstreamRequest } from './provider.ts'
import { packGoogleAccount, projectOf } from './vertex/credentials.ts'
import { signVertex } from './vertex/sign.ts'
import { baseOf, locationOf, publisherBase, USUAL_LOCATION } from './vertex/target.ts'

const LABEL = 'Vertex AI'
const HOST: Host = { version: 'vertex-2023-10-16', takesStream: true, betasInBody: false }
const MILLION = 1_000_000n

const cloud: CloudFacts = {
  region: { member: 'vertex_location', variables: ['VERTEXAI_LOCATION', 'VERTEX_LOCATION'], usual: USUAL_LOCATION },
  endpoint: null,
  account: { member: 'vertex_project', variables: ['VERTEXAI_PROJECT', 'VERTEX_PROJECT', 'GOOGLE_CLOUD_PROJECT'] },
  parts: [],
  file: {
    member: 'vertex_credentials',
    variables: ['VERTEXAI_CREDENTIALS', 'VERTEX_CREDENTIALS', 'GOOGLE_APPLICATION_CREDENTIALS'],
  },
  unread: [],
  baseOf,
  credentialOf: packGoogleAccount,
  accountOf: projectOf,
  refuses: (model) =>
    model.includes('*') || isClaude(model) || isGemini(model)
      ? null
      : 'of the models on Vertex AI only Gemini and Claude are served here, in conversations',
}

function isGemini(model: string): boolean {
  return /^gemini-(?!embedding)/.test(model)
}

export const vertex: ChatProvider & MessagesProvider & GenerateProvider = {
  name: 'vertex_ai',
  label: LABEL,
  baseUrl: 'https://us-central1-aiplatform.googleapis.com',
  keyVariables: [],
  bareName: null,
  alsoNamed: ['vertex_ai_beta'],
  domain: 'googleapis.com',
  cloud,
  billsAbandoned: true,
  model: (name, json) => (isClaude(name) ? claudeFacts(name, json) : googleModel(name)),
  tierMultiplier: (tier, model) => (isClaude(model) ? MILLION : googleTier(tier)),
  pricedAs: (asked, served) => (isClaude(asked) ? asked : bareModel(served ?? asked)),
  listedAs,
  modelLists: [{ provider: 'google', only: /^gemini-(?!embedding)|^claude-/ }],
  unpriced: google.unpriced,
  readError: (status, headers, body) =>
    asObject(parseJson(body))?.type === 'error'
      ? readClaudeError(status, headers, body)
      : readGoogleError(status, headers, body),
  sign: signVertex,
  chat: {
    mustInline: google.chat.mustInline,
    mediaTokens: (model) => chatOf(model).mediaTokens(model),
    // An id carries what one of them signed.
    unpackId: (id) => {
      const claude = unpackClaudeId(id)
      return claude.carried === '' ? google.chat.unpackId(id) : claude
    },
    serverTools: (json, model) => chatOf(model).serverTools(json, model),
    takes: () => null,
    refuses: (json, model) => [...notServed(json, model), ...chatOf(model).refuses(json, model)],
    leastOutput: (json, model) => chatOf(model).leastOutput?.(json, model) ?? 1,
    ...(google.chat.draws === undefined ? {} : { draws: google.chat.draws }),
    mayServe: translatedClaude.mayServe,
    prepare: (call) =>
      isClaude(call.model) ? prepareClaude(call, hostedChat(call, HOST)) : prepareGoogle(atGoogle(call)),
    readResponse: (body, context) => chatOf(context.model).readResponse(body, context),
    readStream: (context) => chatOf(context.model).readStream(context),
  },
  messages: {
    ...nativeMessages,
    isSpokenBy: isClaude,
    serviceTier: () => null,
    prepare: (call) => prepareClaude(call, hostedMessage(call, HOST)),
  },
  generate: {
    ...passedGenerate,
    isSpokenAt: (_, model) => !isClaude(model),
    prepare: (call) => preparePassed(atGoogle(call)),
  },
}

function chatOf(model: string): Omit<ChatCapability, 'mustInline' | 'prepare'> {
  return isClaude(model) ? translatedClaude : google.chat
}

/** Claude costs what it costs at Anthropic. From Claude 4.5 and Gemini 3 on, a region costs a tenth more than everywhere. */
function listedAs(model: string, apiBase: string | null = null): Listing {
  const isNew = isClaude(model) ? isPricedByPlace(model) : generation(model) >= 3
  const here = isNew && locationOf(apiBase) !== 'global' ? { percent: 110 } : {}
  if (!isClaude(model)) return { provider: 'google', model: bareModel(model), ...here }
  return { provider: 'anthropic', model: model.replace('@', '-'), cacheWrites: CLAUDE_CACHE_WRITES, ...here }
}

/** Google's code sends it to the address it is given; who asks is said by a token. */
function atGoogle<Call extends Pick<ProviderCall, 'apiBase' | 'apiKey' | 'organization'>>(call: Call): Call {
  return { ...call, apiBase: publisherBase(call, 'v1beta1', 'google'), apiKey: null }
}

function prepareClaude(call: ProviderCall | MessagesCall, { body, betas }: HostedBody): UpstreamRequest {
  const { stream } = call.request
  const base = new URL(publisherBase(call, 'v1', 'anthropic'))
  const headers = ownHeaders(stream ? 'text/event-stream' : 'application/json', call.extraHeaders)
  if (betas.length > 0) headers['anthropic-beta'] = betas.join(',')
  // Names may come from callers: none may lead to another path.
  const model = encodeURIComponent(call.model).replaceAll('%40', '@')
  const path = `${base.pathname}/models/${model}:${stream ? 'streamRawPredict' : 'rawPredict'}`
  return { origin: base.origin, path, headers, body }
}

function notServed(json: Readonly<Record<string, unknown>>, model: string): Refusal[] {
  const why = cloud.refuses(model)
  if (why !== null) return [{ param: 'model', message: `${LABEL}: ${why}. Ask for another model.`, droppable: false }]
  const { service_tier: tier } = json
  if (isClaude(model) || (tier !== 'flex' && tier !== 'priority')) return []
  return [
    { param: 'service_tier', message: `${LABEL} takes no service tier in a request. Leave it out.`, droppable: true },
  ]
}
