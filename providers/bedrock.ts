/**
 * Amazon Bedrock: Claude, asked in Anthropic's dialect by InvokeModel, and others, asked by Converse. Where things are: in bedrock/, target (address and names), sign and
 * credentials (who asks), event-messages and event-frames (how a stream comes), converse, errors; in anthropic/, hosted (the body) and everything
 * about Claude.
 *
 * Fails closed: what can't be read is no response and no usage, and a stream that ends without `message_stop` is an error.
 */
import { type Host, hostedChat, hostedMessage, isClaude } from './anthropic/hosted.ts'
import { claudeFacts } from './anthropic/models.ts'
import { nativeMessages } from './anthropic/native/native-messages.ts'
import { translatedClaude } from './anthropic/translated.ts'
import { converses, conversing, conversingFacts } from './bedrock/converse.ts'
import { prepareConverse } from './bedrock/converse-request.ts'
import { packAwsKey } from './bedrock/credentials.ts'
import { LABEL, readBedrockError } from './bedrock/errors.ts'
import { claudeFrame, readEventStream } from './bedrock/event-frames.ts'
import { signBedrock } from './bedrock/sign.ts'
import { baseOf, bedrockTarget, EVENT_STREAM, placeIn, pricedName, USUAL_REGION } from './bedrock/target.ts'
import type { CloudFacts } from './cloud.ts'
import { CLAUDE_CACHE_WRITES } from './listing.ts'
import type { MessagesCall, MessagesProvider } from './messages.ts'
import type { ChatProvider, ProviderCall, Refusal, UpstreamRequest } from './provider.ts'

const HOST: Host = { version: 'bedrock-2023-05-31', takesStream: false, betasInBody: true }

const cloud: CloudFacts = {
  region: {
    member: 'aws_region_name',
    variables: ['AWS_REGION_NAME', 'AWS_REGION', 'AWS_DEFAULT_REGION'],
    usual: USUAL_REGION,
  },
  endpoint: { member: 'aws_bedrock_runtime_endpoint', variables: ['AWS_BEDROCK_RUNTIME_ENDPOINT'] },
  account: null,
  parts: [
    { member: 'aws_access_key_id', variables: ['AWS_ACCESS_KEY_ID'] },
    { member: 'aws_secret_access_key', variables: ['AWS_SECRET_ACCESS_KEY'] },
    { member: 'aws_session_token', variables: ['AWS_SESSION_TOKEN'] },
  ],
  file: null,
  unread: ['aws_profile_name', 'aws_role_name', 'aws_session_name', 'aws_web_identity_token', 'aws_external_id'],
  placeIn,
  baseOf,
  credentialOf: packAwsKey,
  refuses: (model) =>
    isClaude(model) || converses(model) || model.includes('*')
      ? null
      : 'of the models on Bedrock only those that converse are served here',
}

export const bedrock: ChatProvider & MessagesProvider = {
  name: 'bedrock',
  label: LABEL,
  baseUrl: 'https://bedrock-runtime.us-west-2.amazonaws.com',
  keyVariables: ['AWS_BEARER_TOKEN_BEDROCK'],
  bareName: null,
  // Hosts of anybody are below amazonaws.com: a credential goes to the address that is made of the region, or where it was written for.
  domain: 'localhost',
  cloud,
  // What becomes of a stream that nobody reads is not documented.
  billsAbandoned: true,
  model: (name, json) => (isClaude(name) ? claudeFacts(name, json) : conversingFacts()),
  // Tiers and places of Anthropic's are none of Bedrock's: what a region costs stands in the name.
  tierMultiplier: () => 1_000_000n,
  pricedAs: pricedName,
  listedAs: (model) => ({
    provider: 'aws',
    model: pricedName(model),
    ...(isClaude(model) ? { cacheWrites: CLAUDE_CACHE_WRITES } : {}),
  }),
  modelLists: [{ provider: 'aws', only: /^global\.anthropic\./ }],
  unpriced: () => null,
  readError: readBedrockError,
  sign: signBedrock,
  chat: {
    mustInline: () => true,
    mediaTokens: (model) => chatOf(model).mediaTokens(model),
    unpackId: translatedClaude.unpackId,
    serverTools: (json, model) => chatOf(model).serverTools(json, model),
    takes: () => null,
    refuses: (json, model) => [...notServed(model), ...chatOf(model).refuses(json, model)],
    leastOutput: (json, model) => chatOf(model).leastOutput?.(json, model) ?? 1,
    mayServe: translatedClaude.mayServe,
    prepare: prepareChat,
    readResponse: (body, context) => chatOf(context.model).readResponse(body, context),
    readStream: (context) => chatOf(context.model).readStream(context),
  },
  messages: {
    ...nativeMessages,
    isSpokenBy: isClaude,
    serviceTier: () => null,
    prepare: (call) => invoke(call, hostedMessage(call, HOST).body),
    readStream: (asked) => readEventStream(nativeMessages.readStream(asked), claudeFrame),
  },
}

const claude: typeof conversing = {
  ...translatedClaude,
  readStream: (context) => readEventStream(translatedClaude.readStream(context), claudeFrame),
}

function chatOf(model: string): typeof conversing {
  return isClaude(model) ? claude : conversing
}

function prepareChat(call: ProviderCall): UpstreamRequest {
  return isClaude(call.model) ? invoke(call, hostedChat(call, HOST).body) : converse(call)
}

function converse(call: ProviderCall): UpstreamRequest {
  const isStream = call.request.stream
  return { ...targetOf(call, isStream ? 'converse-stream' : 'converse'), body: prepareConverse(call) }
}

function invoke(call: ProviderCall | MessagesCall, body: Buffer): UpstreamRequest {
  return { ...targetOf(call, call.request.stream ? 'invoke-with-response-stream' : 'invoke'), body }
}

function targetOf(call: ProviderCall | MessagesCall, operation: string): Omit<UpstreamRequest, 'body'> {
  return bedrockTarget(call, operation, call.request.stream ? EVENT_STREAM : 'application/json')
}

/** A name that came by a wildcard. */
function notServed(model: string): Refusal[] {
  const why = cloud.refuses(model)
  return why === null ? [] : [{ param: 'model', message: `${LABEL}: ${why}. Ask for another model.`, droppable: false }]
}
