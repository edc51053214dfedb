/**
 * Google's Gemini: `generateContent` and `streamGenerateContent`, translated both ways; where `api_base` is Google's OpenAI-compatible
 * endpoint, that one. Responses are told apart by their shape. Where things are: in google/, request.ts (members), contents, parts,
 * tools, refusals for what goes out; response, stream, plain-frame, choice, candidate, grounding for what comes back; tool-id for how
 * signatures survive an ordinary client; usage, errors, models, media; compatible for the other endpoint.
 *
 * Fails closed: what can't be read is no response and no usage, and a stream that ends without a finish reason is an error.
 */
import type { MaybeEmbeddingsProvider } from './embeddings.ts'
import type { MaybeGenerateProvider } from './generate.ts'
import {
  compatibleTakes,
  isCompatible,
  prepareCompatible,
  readCompatibleResponse,
  readCompatibleStream,
} from './google/compatible.ts'
import { googleEmbeddings } from './google/embeddings.ts'
import { LABEL, readGoogleError } from './google/errors.ts'
import { googleImages } from './google/images/capability.ts'
import { googleMediaTokens, mustInline } from './google/media.ts'
import { bareModel, draws, googleModel, googleTier, googleUnpriced } from './google/models.ts'
import { passedGenerate } from './google/passed/passed-generate.ts'
import { googleRefuses } from './google/refusals.ts'
import { BASE_URL, prepareGoogle } from './google/request.ts'
import { readGoogleResponse } from './google/response.ts'
import { readGoogleStream } from './google/stream.ts'
import { leastOutput } from './google/thinking.ts'
import { unpackGoogleId } from './google/tool-id.ts'
import { googleServerTools } from './google/tools.ts'
import type { MaybeImagesProvider } from './images.ts'
import type { ChatProvider } from './provider.ts'

export const google: ChatProvider & MaybeEmbeddingsProvider & MaybeGenerateProvider & MaybeImagesProvider = {
  name: 'gemini',
  label: LABEL,
  baseUrl: BASE_URL,
  keyVariables: ['GEMINI_API_KEY', 'GOOGLE_API_KEY', 'GOOGLE_AI_API_KEY'],
  bareName: /^gemini-/,
  domain: 'googleapis.com',
  // Google's own client says so of its abort signal: what was begun is finished, and billed.
  billsAbandoned: true,
  model: googleModel,
  tierMultiplier: googleTier,
  pricedAs: (asked, served) => bareModel(served ?? asked),
  listedAs: (model) => ({ provider: 'google', model: bareModel(model) }),
  // The data set's `google` holds Vertex AI too, whose Claude models this API doesn't serve.
  modelLists: [{ provider: 'google', only: /^gem(?:ini|ma)-/ }],
  unpriced: googleUnpriced,
  readError: readGoogleError,
  chat: {
    mustInline,
    mediaTokens: googleMediaTokens,
    unpackId: unpackGoogleId,
    serverTools: googleServerTools,
    takes: (apiBase) => (isCompatible(apiBase) ? compatibleTakes(apiBase) : null),
    refuses: googleRefuses,
    leastOutput,
    draws,
    mayServe: () => [],
    prepare: (call) => (isCompatible(call.apiBase) ? prepareCompatible(call) : prepareGoogle(call)),
    readResponse: (body, context) => readCompatibleResponse(body, context) ?? readGoogleResponse(body, context),
    readStream: (context) => readGoogleStream(context, () => readCompatibleStream(context)),
  },
  generate: passedGenerate,
  embeddings: googleEmbeddings,
  images: googleImages,
}
