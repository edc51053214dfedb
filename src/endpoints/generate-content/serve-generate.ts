/** POST /v1beta/models/{model}:{method}, and the same under /v1: Gemini's clients name the method at the end of the path. */
import type { CallDependencies } from '../../call/call-dependencies.ts'
import { serveCall } from '../../call/serve-call.ts'
import { TollgateError } from '../../http/errors.ts'
import type { Exchange } from '../../http/exchange.ts'
import { requestPath } from '../../http/request-path.ts'
import { requestQuery } from '../../http/request-query.ts'
import { requirePermission } from '../../identity/permissions.ts'
import { serveCount } from '../count-tokens/serve-count.ts'
import { countedContent } from './counted-content.ts'
import { embedContent } from './embed-content.ts'
import { generateContent } from './generate-content.ts'
import { predictImages } from './predict-images.ts'

/** Responds on the exchange. @throws {TollgateError} as long as nothing was sent. */
export async function serveGenerate(calls: CallDependencies, exchange: Exchange): Promise<void> {
  const { model, method } = placeOf(exchange.incoming.url ?? '')
  switch (method) {
    case 'generateContent':
      return serveCall(calls, generateContent({ model, stream: false, isArray: false }), exchange)
    case 'streamGenerateContent': {
      const query = requestQuery(exchange.incoming)
      const isArray = (query.get('alt') ?? query.get('$alt')) !== 'sse'
      return serveCall(calls, generateContent({ model, stream: true, isArray }), exchange)
    }
    case 'countTokens':
      return serveCount(calls, countedContent(model), exchange, (tokens) => ({ totalTokens: tokens }))
    case 'predict':
      return serveCall(calls, predictImages(model), exchange)
    case 'embedContent':
    case 'batchEmbedContents':
      return serveCall(calls, embedContent(model, method === 'batchEmbedContents'), exchange)
  }
  requirePermission(await calls.admission.identify(exchange.incoming), 'llm:inference')
  throw unserved(method)
}

/** Splits the decoded path at its last colon: the model before it, the method after it. */
function placeOf(url: string): { model: string; method: string } {
  const place = requestPath(url)
    .replace(/^\/v1(?:beta)?\/models\//, '')
    .split('/')
    .map(decodeURIComponent)
    .join('/')
  const colon = place.lastIndexOf(':')
  return colon < 0 ? { model: place, method: '' } : { model: place.slice(0, colon), method: place.slice(colon + 1) }
}

function unserved(method: string): TollgateError {
  const shown = method === '' ? 'A path without a method' : `':${method.slice(0, 64)}'`
  const message = `${shown} is not served here. Ask for generateContent, streamGenerateContent, countTokens, embedContent, batchEmbedContents or predict.`
  return new TollgateError(501, 'unsupported_endpoint', message, { headers: { 'x-should-retry': 'false' } })
}
