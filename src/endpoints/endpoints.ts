/** Every endpoint there is, with the paths it is served at. The first path is the one to use. */
import type { Endpoint } from '../call/endpoint.ts'
import type { TollgateError } from '../http/errors.ts'
import { chatCompletions } from './chat-completions/chat-completions.ts'
import { chatCompletionsWithMetadata } from './chat-completions/chat-completions-with-metadata.ts'
import { chatCompletionsOperation, chatWithMetadataOperation } from './chat-completions/openapi.ts'
import { completions } from './completions/completions.ts'
import { completionsOperation } from './completions/openapi.ts'
import { embeddings } from './embeddings/embeddings.ts'
import { embeddingsOperation } from './embeddings/openapi.ts'
import { messages } from './messages/messages.ts'
import { messagesOperation } from './messages/openapi.ts'
import type { MountedRoute } from './mount-endpoint.ts'
import { responsesOperation } from './responses/openapi.ts'
import { responses } from './responses/responses.ts'

export interface MountedEndpoint extends Omit<MountedRoute, 'serve'> {
  endpoint: Endpoint
  /** Further paths whose callers read its errors. */
  besides?: readonly string[]
}

export const ENDPOINTS: readonly MountedEndpoint[] = [
  {
    endpoint: chatCompletions,
    paths: ['/v1/chat/completions', '/chat/completions'],
    operation: chatCompletionsOperation,
  },
  {
    endpoint: chatCompletionsWithMetadata,
    paths: ['/api/v1/llm/chat/completions'],
    operation: chatWithMetadataOperation,
  },
  {
    endpoint: messages,
    paths: ['/v1/messages'],
    operation: messagesOperation,
    requestIdHeader: 'request-id',
    besides: ['/v1/messages/count_tokens'],
  },
  {
    endpoint: responses,
    paths: ['/v1/responses', '/responses'],
    operation: responsesOperation,
  },
  { endpoint: completions, paths: ['/v1/completions', '/completions'], operation: completionsOperation },
  { endpoint: embeddings, paths: ['/v1/embeddings', '/embeddings'], operation: embeddingsOperation },
]

/** Those of /v1, by the path to use. */
export function endpointsByPath(): Readonly<Record<string, Endpoint>> {
  const found = ENDPOINTS.map(({ endpoint, paths }) => [paths[0], endpoint] as const)
  return Object.fromEntries(found.filter(([path]) => path.startsWith('/v1/')))
}

type RenderError = (error: TollgateError) => unknown

/**
 * How errors look to callers, by path: those of an endpoint read its dialect, whatever is wrong: no credential, an unknown model, a method
 * it does not have, a body that is too large. Elsewhere the shape is `otherwise`.
 */
export function errorsByPath(otherwise: RenderError): (path: string) => RenderError {
  const byPath = new Map(
    ENDPOINTS.flatMap(({ endpoint, paths, besides = [] }) =>
      [...paths, ...besides].map((path) => [path, endpoint.errorBody] as const),
    ),
  )
  return (path) => byPath.get(path) ?? otherwise
}
