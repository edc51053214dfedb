/**
 * Anthropic, Messages API. Callers speak OpenAI's dialect; requests and responses are translated both ways, nothing is lost that the
 * other side can express, and what it can't is refused by name (or left out under `drop_params`). Where things are:
 * in anthropic/, request.ts (members), messages, parts, tools, schema, thinking for what goes out; answer, stream, outcome for what
 * comes back; carried for how Claude's signed thoughts survive an ordinary client; usage, errors, models, media.
 *
 * Fails closed: what can't be read is no response and no usage, and a stream that ends without `message_stop` is an error.
 */
import { readClaudeAnswer } from './anthropic/answer.ts'
import { unpackClaudeId } from './anthropic/carried.ts'
import { readClaudeError } from './anthropic/errors.ts'
import { claudeMediaTokens } from './anthropic/media.ts'
import { claudeFacts, claudeTier } from './anthropic/models.ts'
import { translateRequest } from './anthropic/request.ts'
import { readClaudeStream } from './anthropic/stream.ts'
import { leastOutput } from './anthropic/thinking.ts'
import { advisors, claudeServerTools } from './anthropic/tools.ts'
import type { ChatProvider, ProviderCall, UpstreamRequest } from './provider.ts'

const BASE_URL = 'https://api.anthropic.com/v1'
const VERSION = '2023-06-01'

export const anthropic: ChatProvider = {
  name: 'anthropic',
  label: 'Anthropic',
  baseUrl: BASE_URL,
  keyVariables: ['ANTHROPIC_API_KEY'],
  bareName: /^claude-/,
  domain: 'anthropic.com',
  billsAbandoned: false,
  model: claudeFacts,
  tierMultiplier: claudeTier,
  pricedAs: (asked, served) => served ?? asked,
  listedAs: (model) => ({ provider: 'anthropic', model }),
  unpriced: () => null,
  readError: readClaudeError,
  chat: {
    mustInline: null,
    mediaTokens: claudeMediaTokens,
    unpackId: unpackClaudeId,
    serverTools: (json) => claudeServerTools(json),
    mayServe: advisors,
    leastOutput,
    takes: () => null,
    refuses: (json, model) => translateRequest(json, model, null).refusals,
    prepare,
    readAnswer: readClaudeAnswer,
    readStream: readClaudeStream,
  },
}

function prepare(call: ProviderCall): UpstreamRequest {
  const base = new URL(call.apiBase ?? BASE_URL)
  const path = base.pathname.replace(/\/$/, '')
  const { body, betas } = translateRequest(requestOf(call), call.model, capOf(call))
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    accept: call.request.stream ? 'text/event-stream' : 'application/json',
    'accept-encoding': 'identity',
    'user-agent': 'tollgate',
    'anthropic-version': VERSION,
    ...Object.fromEntries(Object.entries(call.extraHeaders).map(([name, value]) => [name.toLowerCase(), value])),
  }
  if (call.apiKey !== null) headers['x-api-key'] = call.apiKey
  const named: string | undefined = headers['anthropic-beta']
  const features = new Set([...(named === undefined ? [] : named.split(',').map((beta) => beta.trim())), ...betas])
  if (features.size > 0) headers['anthropic-beta'] = [...features].join(',')
  return {
    origin: base.origin,
    // LiteLLM's configurations name the host alone.
    path: `${path === '' ? '/v1' : path}/messages${base.search}`,
    headers,
    body: Buffer.from(JSON.stringify(body)),
  }
}

/** What is asked for: the caller's members over the operator's, without those to be left out. */
function requestOf(call: ProviderCall): Record<string, unknown> {
  const json: Record<string, unknown> = { ...call.defaults, ...call.request.json }
  for (const member of call.drop) delete json[member]
  return json
}

/** Ours, which bounds the others; then the caller's, then the operator's. */
function capOf(call: ProviderCall): number | null {
  return call.outputCap ?? call.request.outputCap
}
