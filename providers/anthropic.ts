/**
 * Anthropic, Messages API. Who speaks it passes as it is (anthropic/native/). Who speaks OpenAI's dialect is translated both ways, nothing
 * is lost that the other side can express, and what it can't is refused by name (or left out under `drop_params`). Where things are:
 * in anthropic/, request.ts (members), messages, parts, tools, schema, thinking for what goes out; response, stream, outcome for what
 * comes back; carried for how Claude's signed thoughts survive an ordinary client; usage, errors, models, media.
 *
 * Fails closed: what can't be read is no response and no usage, and a stream that ends without `message_stop` is an error.
 */
import { readClaudeError } from './anthropic/errors.ts'
import { claudeFacts, claudeTier } from './anthropic/models.ts'
import { nativeMessages } from './anthropic/native/native-messages.ts'
import { CLAUDE_BASE_URL, claudeTarget } from './anthropic/target.ts'
import { translateCall, translatedClaude } from './anthropic/translated.ts'
import type { MessagesProvider } from './messages.ts'
import type { ChatProvider, ProviderCall, UpstreamRequest } from './provider.ts'

export const anthropic: ChatProvider & MessagesProvider = {
  name: 'anthropic',
  label: 'Anthropic',
  baseUrl: CLAUDE_BASE_URL,
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
  chat: { ...translatedClaude, mustInline: null, prepare },
  messages: nativeMessages,
}

function prepare(call: ProviderCall): UpstreamRequest {
  const { body, betas } = translateCall(call)
  const target = claudeTarget(call, { stream: call.request.stream, betas: [...betas] })
  return { ...target, body: Buffer.from(JSON.stringify(body)) }
}
