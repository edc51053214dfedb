/** Where tokens are counted: of a message, of a response, and of what LiteLLM counts. Each reads the request of its dialect. */
import type { RouteConfig } from '@hono/zod-openapi'
import type { Endpoint } from '../../call/endpoint.ts'
import { chatCompletions } from '../chat-completions/chat-completions.ts'
import { completions } from '../completions/completions.ts'
import { countedMessages } from '../messages/messages.ts'
import { responses } from '../responses/responses.ts'
import { countTokensOperation, inputTokensOperation, tokenCounterOperation } from './openapi.ts'
import type { Counted } from './serve-count.ts'

export interface Count {
  paths: readonly [string, ...string[]]
  operation: Omit<RouteConfig, 'method' | 'path'>
  endpoint: Pick<Endpoint, 'read' | 'mediaOf'>
  show: (tokens: number, counted: Counted) => unknown
  requestIdHeader?: string
}

/** A prompt is counted as a completion's, messages as a chat's. */
const counted: Count['endpoint'] = {
  read: (body, sent) => ('prompt' in body.json ? completions : chatCompletions).read(body, sent),
}

export const COUNTS: readonly Count[] = [
  {
    paths: ['/v1/messages/count_tokens'],
    operation: countTokensOperation,
    endpoint: countedMessages,
    requestIdHeader: 'request-id',
    show: (input_tokens) => ({ input_tokens }),
  },
  {
    paths: ['/v1/responses/input_tokens', '/responses/input_tokens'],
    operation: inputTokensOperation,
    endpoint: responses,
    show: (input_tokens) => ({ object: 'response.input_tokens', input_tokens }),
  },
  {
    paths: ['/utils/token_counter'],
    operation: tokenCounterOperation,
    endpoint: counted,
    show: (total_tokens, { model, upstreamModel, encoding }) => ({
      total_tokens,
      request_model: model,
      model_used: upstreamModel,
      tokenizer_type: encoding,
      error: false,
    }),
  },
]
