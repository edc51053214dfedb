/**
 * HuggingFace's router: the bytes of whichever provider it chose, with that one's quirks. `org/name:provider` names who serves a
 * call, and with it the price; without the suffix nobody can know it, and the response's own model name does not tell either.
 */
import type { MaybeCompletionsProvider } from './completions.ts'
import type { MaybeEmbeddingsProvider } from './embeddings.ts'
import { huggingFaceEmbeddings } from './huggingface-embeddings.ts'
import { unknownMedia } from './media/media-size.ts'
import { openAiCompletions } from './openai-completions.ts'
import { openAiDialect, PLAIN_MODEL, typedTools } from './openai-dialect.ts'
import type { OpenAiFacts } from './openai-facts.ts'
import type { ChatProvider } from './provider.ts'

/** Who serves its models, as the data set lists them. */
const SERVERS = [
  ...['cerebras', 'fireworks-ai', 'groq', 'hyperbolic', 'nebius', 'novita', 'nscale', 'ovhcloud', 'publicai'],
  ...['sambanova', 'together'],
]

/** Ways of choosing rather than providers. */
const POLICIES = /:(?:fastest|cheapest|preferred|auto)$/

const FACTS: OpenAiFacts = {
  name: 'huggingface',
  label: 'HuggingFace',
  baseUrl: 'https://router.huggingface.co/v1',
  keyVariables: ['HF_TOKEN', 'HUGGINGFACE_API_KEY'],
  domain: 'huggingface.co',
  billsAbandoned: true,
  isRouter: true,
  // Not one provider in the data set but one for each that it resells: a model is asked for as `<org>/<model>:<who>`.
  modelLists: SERVERS.map((server) => ({ provider: `huggingface_${server}`, suffix: `:${server}` })),
  model: () => ({ ...PLAIN_MODEL, tokensPercent: 105, hiddenInput: { always: 8, withTools: 80 } }),
  mediaTokens: () => unknownMedia,
  // Some of its servers ignore the newer member, and a cap that is ignored is none.
  capMember: () => 'max_tokens',
  serverTools: typedTools,
  sentAs: withSuffix,
  pricedAs: (asked) => asked,
  listedAs(model) {
    const server = serverOf(model)
    if (server === null) return null
    const named = withSuffix(model)
    return { provider: `huggingface_${server}`, model: named.slice(0, named.lastIndexOf(':')) }
  },
  unpriced: (model) =>
    serverOf(model) !== null
      ? null
      : `HuggingFace chooses who serves '${model}', so its price can't be known. Add a provider: '${model.replace(POLICIES, '')}:groq', for one.`,
}

export const huggingface: ChatProvider & MaybeEmbeddingsProvider & MaybeCompletionsProvider = {
  ...openAiDialect(FACTS),
  completions: openAiCompletions(FACTS),
  embeddings: huggingFaceEmbeddings(FACTS, serverOf),
}

/** LiteLLM writes the server in front: `together/org/name` is `org/name:together` to the router. */
function withSuffix(model: string): string {
  const [server, ...rest] = model.split('/')
  return rest.length === 2 && !model.includes(':') ? `${rest.join('/')}:${server}` : model
}

function serverOf(model: string): string | null {
  const named = withSuffix(model)
  const colon = named.lastIndexOf(':')
  return colon <= 0 || POLICIES.test(named) ? null : named.slice(colon + 1)
}
