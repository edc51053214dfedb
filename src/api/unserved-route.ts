/**
 * Routes that other servers of these dialects have and Tollgate has not, because nobody could meter them call by call. Each responds
 * with 501 and says what to do instead, so that a client does not look for a mistake in its address.
 */
import { TollgateError } from '../http/errors.ts'

/** For routes whose requests are made later or elsewhere, where nobody sees what they use. */
const LATER = 'Make its calls one by one: POST /v1/chat/completions, /v1/responses, /v1/messages or /v1/embeddings.'
const INLINE = 'Send what a call needs inside the call: images, sound and documents as data URLs or base64.'
const CHATS =
  'Keep the conversation in your application and send it whole to POST /v1/responses or /v1/chat/completions.'
const SEARCH = 'Keep vectors in a store of your own; POST /v1/embeddings makes them.'
const RANK =
  'Compare vectors of POST /v1/embeddings, or have a model rank: POST /v1/chat/completions with the documents and a response_format.'
const OWN_ACCOUNT = "Use an account of the provider's own for it."

/** What to do instead, by the first words of a path, after `/v1` where it has that. */
const UNSERVED: Readonly<Record<string, readonly [what: string, instead: string]>> = {
  batches: ['Batches', LATER],
  files: ['Stored files', INLINE],
  uploads: ['Stored files', INLINE],
  realtime: [
    'Realtime sessions',
    'Call POST /v1/audio/transcriptions, a model, and POST /v1/audio/speech one after the other.',
  ],
  fine_tuning: ['Fine-tuning', `${OWN_ACCOUNT} The model it makes can be called here by its name.`],
  'fine-tuning': ['Fine-tuning', `${OWN_ACCOUNT} The model it makes can be called here by its name.`],
  assistants: ['Assistants', CHATS],
  threads: ['Threads', CHATS],
  conversations: ['Conversations', CHATS],
  vector_stores: ['Vector stores', SEARCH],
  containers: ['Containers', OWN_ACCOUNT],
  evals: ['Evals', OWN_ACCOUNT],
  videos: ['Videos', OWN_ACCOUNT],
  ocr: [
    'OCR',
    'Send the document to a model that reads documents: POST /v1/chat/completions with a part of type "file".',
  ],
  search: ['Search', "Ask a model that searches: POST /v1/responses with the provider's tool web_search."],
  'images/variations': ['Variations of images', 'Send the image and a prompt to POST /v1/images/edits.'],
  rerank: ['Rerankings', RANK],
  'v2/rerank': ['Rerankings', RANK],
  'messages/batches': ['Batches', LATER],
  'audio/voices': ['Voices of your own', OWN_ACCOUNT],
}

/** LiteLLM's routes that pass everything through to a provider. */
const PASSED_THROUGH = new Set(
  'anthropic assemblyai azure azure_ai bedrock cohere cursor eu.assemblyai gemini langfuse mistral openai openai_passthrough vertex-ai vertex_ai vllm'.split(
    ' ',
  ),
)

/** @returns null where the path is not a route of other servers either. */
export function unservedRoute(method: string, path: string): TollgateError | null {
  const [first = '', ...rest] = path.split('/').slice(1)
  const [second = '', third = ''] = first === 'v1' ? rest : [first, ...rest]
  for (const name of [`${second}/${third}`, second]) {
    const found = Object.hasOwn(UNSERVED, name) ? UNSERVED[name] : undefined
    if (found !== undefined) return unserved(`${found[0]} are not served here (${method} ${shown(path)}).`, found[1])
  }
  if (!PASSED_THROUGH.has(first)) return null
  return unserved(
    `Nothing is passed through to a provider unmetered (${method} ${shown(path)}).`,
    'POST /v1/chat/completions, /v1/responses, /v1/messages and the other routes of GET /docs reach every provider.',
  )
}

const SHOWN_MAX = 200

function shown(path: string): string {
  return path.length > SHOWN_MAX ? `${path.slice(0, SHOWN_MAX)}...` : path
}

function unserved(what: string, instead: string): TollgateError {
  return new TollgateError(501, 'not_served', `${what} ${instead}`, { headers: { 'x-should-retry': 'false' } })
}
