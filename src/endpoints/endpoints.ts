/** Every endpoint, with the paths it is served at. The first path is the one to use. */
import type { IncomingHttpHeaders } from 'node:http'
import { RATE_HEADERS } from '../admission/rate-limits.ts'
import type { Endpoint } from '../call/endpoint.ts'
import type { TollgateError } from '../http/errors.ts'
import { isGeminiPath } from '../http/gemini-path.ts'
import { creditsToMicro } from '../metering/money.ts'
import { chatCompletions } from './chat-completions/chat-completions.ts'
import { chatCompletionsWithMetadata } from './chat-completions/chat-completions-with-metadata.ts'
import { chatCompletionsOperation, chatWithMetadataOperation } from './chat-completions/openapi.ts'
import { completions } from './completions/completions.ts'
import { completionsOperation } from './completions/openapi.ts'
import { embeddings } from './embeddings/embeddings.ts'
import { embeddingsOperation } from './embeddings/openapi.ts'
import { googleError } from './generate-content/google-errors.ts'
import { imageEdits, imageGenerations } from './images/images.ts'
import { imagesWithMetadata } from './images/images-with-metadata.ts'
import { editsOperation, generationsOperation, opsCenterImagesOperation } from './images/openapi.ts'
import { messages } from './messages/messages.ts'
import { messagesOperation } from './messages/openapi.ts'
import { moderations } from './moderations/moderations.ts'
import { moderationsOperation } from './moderations/openapi.ts'
import type { MountedRoute } from './mount-endpoint.ts'
import { responsesOperation } from './responses/openapi.ts'
import { responses } from './responses/responses.ts'
import { speechOperation } from './speech/openapi.ts'
import { speech } from './speech/speech.ts'
import { transcriptionsOperation, translationsOperation } from './transcriptions/openapi.ts'
import { transcriptions, translations } from './transcriptions/transcriptions.ts'

export interface MountedEndpoint extends Omit<MountedRoute, 'serve'> {
  endpoint: Endpoint
  /** Further paths whose callers read this endpoint's errors. */
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
    besides: ['/v1/responses/input_tokens', '/responses/input_tokens'],
  },
  {
    endpoint: completions,
    paths: ['/v1/completions', '/completions', '/api/v1/llm/completions'],
    operation: completionsOperation,
  },
  {
    endpoint: embeddings,
    paths: ['/v1/embeddings', '/embeddings', '/api/v1/llm/embeddings'],
    operation: embeddingsOperation,
  },
  {
    endpoint: imageGenerations,
    paths: ['/v1/images/generations', '/images/generations'],
    operation: generationsOperation,
  },
  { endpoint: imageEdits, paths: ['/v1/images/edits', '/images/edits'], operation: editsOperation },
  {
    endpoint: imagesWithMetadata,
    paths: ['/api/v1/llm/image/generations', '/api/v1/llm/images/generations'],
    operation: opsCenterImagesOperation,
  },
  {
    endpoint: transcriptions,
    paths: ['/v1/audio/transcriptions', '/audio/transcriptions', '/api/v1/llm/audio/transcriptions'],
    operation: transcriptionsOperation,
  },
  {
    endpoint: translations,
    paths: ['/v1/audio/translations', '/audio/translations', '/api/v1/llm/audio/translations'],
    operation: translationsOperation,
  },
  {
    endpoint: speech,
    paths: ['/v1/audio/speech', '/audio/speech', '/api/v1/llm/audio/speech'],
    operation: speechOperation,
  },
  {
    endpoint: moderations,
    paths: ['/v1/moderations', '/moderations', '/api/v1/llm/moderations'],
    operation: moderationsOperation,
  },
]

/** The endpoints of /v1, by the path to use. */
export function endpointsByPath(): Readonly<Record<string, Endpoint>> {
  const found = ENDPOINTS.map(({ endpoint, paths }) => [paths[0], endpoint] as const)
  return Object.fromEntries(found.filter(([path]) => path.startsWith('/v1/')))
}

type RenderError = (error: TollgateError) => unknown

export interface ErrorForm {
  body: RenderError
  /** The error as the client that asked takes it. */
  as(error: TollgateError, asked: IncomingHttpHeaders): TollgateError
  /** Those of its dialect. */
  headers(error: TollgateError): Readonly<Record<string, string>>
  /** Of a limit of calls, in its dialect. */
  rateHeaders: readonly string[]
}

/**
 * The shape of errors, by path. Callers of an endpoint read its dialect whatever is wrong: no credential, an unknown model, a method that
 * the path does not have, a body that is too large. On other paths the shape is `otherwise`.
 */
export function errorsByPath(otherwise: RenderError): (path: string) => ErrorForm {
  const byPath = new Map(
    ENDPOINTS.flatMap(({ endpoint, paths, besides = [] }) => {
      const form = formOf(endpoint)
      return [...paths, ...besides].map((path) => [path, form] as const)
    }),
  )
  const [googles, others] = [formOf({ errorBody: googleError }), formOf({ errorBody: otherwise })]
  return (path) => byPath.get(path) ?? (isGeminiPath(path) ? googles : others)
}

function formOf({
  errorBody,
  errorFor = (error) => error,
  headers = {},
}: Pick<Endpoint, 'errorBody' | 'errorFor' | 'headers'>): ErrorForm {
  const { rate = () => ({}), credits = () => ({}) } = headers
  return {
    body: errorBody,
    as: errorFor,
    rateHeaders: Object.keys(rate({ limit: 0, remaining: 0, reset: 0 })),
    headers({ headers: told, fields: { available } }) {
      const [limit, remaining, reset] = RATE_HEADERS.map((name) => Number(told[name]))
      return {
        ...(limit! >= 0 ? rate({ limit: limit!, remaining: remaining!, reset: reset! }) : {}),
        ...(typeof available === 'string'
          ? credits({ balance: creditsToMicro(available), isEnough: false, isUnlimited: false })
          : {}),
      }
    },
  }
}
