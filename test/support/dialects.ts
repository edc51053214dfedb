/**
 * The scripted upstream as five providers of OpenAI's dialect, each at a path of its own, with the habits that set it apart: what
 * clients must get all the same. What is answered follows from the request: a text, two calls of a tool and then what they
 * returned, an object of a schema, or a failure that the last message asks for by name (`FAILURES`).
 */
import { ERRORS, FAILURES, type Failure } from './dialect-errors.ts'
import { type Said, VOICES, type Voice } from './dialect-voices.ts'
import type { ModelEntry } from './tollgate.ts'
import type { ReceivedRequest } from './upstream.ts'
import { type Answer, type Handler, jsonAnswer, rawStream } from './upstream-answers.ts'

type Json = Record<string, unknown>

export interface Dialect {
  provider: string
  /** The name clients ask for, and the provider's own. */
  model: string
  upstreamModel: string
  /** What config.yaml says of the price; nothing where the data set or the provider's bill tells. */
  prices: Json
  /** Of every answer, in OpenAI's meaning, as callers must see it. */
  usage: { prompt: number; completion: number; cached: number; reasoning: number }
  /** Credits each call is charged on the platform plan, as the books write them, and how that is known. */
  charge: string
  provenance: 'provider_usage' | 'provider_cost'
  /** What the model thinks aloud. */
  thought: string | null
  /** The same of a stream that fails in the middle, where input and output are counted: of the one message `FAILURES.inStream`. */
  cutUsage: { prompt: number; completion: number }
  cutCharge: string
}

export const TEXT = 'Grüße, Welt 👋'
const PIECES = ['Grüße', ', Wel', 't 👋']
/** Every client that is given a tool of this name has it called for both cities. */
export const TOOL = 'get_weather'
export const CITIES = ['Oslo', 'Lima'] as const
export const TOWN = { city: 'Oslo', people: 700_000 }
export const CUT_TEXT = 'Well, then'

export const DIALECTS: readonly Dialect[] = [
  {
    provider: 'openai',
    model: 'chat-openai',
    upstreamModel: 'gpt-4o-mini',
    prices: {},
    usage: { prompt: 120, completion: 30, cached: 20, reasoning: 0 },
    // (100 x $0.15 + 20 x $0.075 + 30 x $0.60) / 1 000 000, and half of it on top.
    charge: '0.051750',
    provenance: 'provider_usage',
    thought: null,
    cutUsage: { prompt: 12, completion: 3 },
    cutCharge: '0.005400',
  },
  {
    provider: 'groq',
    model: 'chat-groq',
    upstreamModel: 'openai/gpt-oss-120b',
    prices: {},
    usage: { prompt: 140, completion: 60, cached: 40, reasoning: 25 },
    // 100 x $0.15 + 40 x $0.075 + 60 x $0.60
    charge: '0.081000',
    provenance: 'provider_usage',
    thought: 'The user greets.',
    cutUsage: { prompt: 12, completion: 8 },
    cutCharge: '0.009900',
  },
  {
    provider: 'xai',
    model: 'chat-xai',
    upstreamModel: 'grok-3-mini',
    prices: {},
    // It states 20 tokens of output, and the reasoning beside them.
    usage: { prompt: 110, completion: 70, cached: 10, reasoning: 50 },
    // 700 000 ticks are $0.00007; its tokens would be $0.00006575.
    charge: '0.105000',
    provenance: 'provider_cost',
    thought: 'The user greets.',
    cutUsage: { prompt: 12, completion: 8 },
    cutCharge: '0.011400',
  },
  {
    provider: 'huggingface',
    model: 'chat-huggingface',
    upstreamModel: 'meta-llama/Llama-3.3-70B-Instruct:cerebras',
    prices: { input_cost_per_token: 0.00000085, output_cost_per_token: 0.0000012 },
    usage: { prompt: 80, completion: 25, cached: 0, reasoning: 0 },
    // 80 x $0.85 + 25 x $1.20
    charge: '0.147000',
    provenance: 'provider_usage',
    thought: null,
    cutUsage: { prompt: 12, completion: 3 },
    cutCharge: '0.020700',
  },
  {
    provider: 'openrouter',
    model: 'chat-openrouter',
    upstreamModel: 'meta-llama/llama-3.3-70b-instruct',
    prices: {},
    usage: { prompt: 90, completion: 35, cached: 0, reasoning: 0 },
    // Its bill of $0.0000456, which no tokens explain.
    charge: '0.068400',
    provenance: 'provider_cost',
    thought: null,
    cutUsage: { prompt: 12, completion: 3 },
    cutCharge: '0.001980',
  },
]

/** Deployments of all five, for the product's config.yaml. `upstreamUrl` as of the scripted upstream. */
export function dialectModels(upstreamUrl: string): ModelEntry[] {
  return DIALECTS.map(({ provider, model, upstreamModel, prices }) => ({
    model_name: model,
    litellm_params: {
      model: `${provider}/${upstreamModel}`,
      api_base: `${new URL(upstreamUrl).origin}/${provider}/v1`,
      api_key: 'os.environ/SCRIPTED_API_KEY',
      ...prices,
    },
  }))
}

/** Answers each path as its provider would. */
export const speakDialects: Handler = (request) => {
  const provider = request.path.split('/')[1] ?? ''
  const voice = VOICES[provider]
  if (voice === undefined) throw new Error(`no dialect answers at ${request.path}`)
  const failure = failureIn(request)
  if (failure !== null && failure !== 'inStream') return ERRORS[provider]?.[failure] as Answer
  const said = answerTo(request.json ?? {})
  if (request.json?.stream !== true) return jsonAnswer(voice.whole(said))
  if (failure === 'inStream') return rawStream(cutFrames(voice))
  const asked = (request.json.stream_options as Json | undefined)?.include_usage === true
  return rawStream(voice.frames(said, asked))
}

function failureIn({ json }: ReceivedRequest): Failure | null {
  const last = JSON.stringify((json?.messages as Json[] | undefined)?.at(-1) ?? null)
  const found = Object.entries(FAILURES).find(([, words]) => last.includes(words))
  return found === undefined ? null : (found[0] as Failure)
}

function answerTo({ messages, tools, tool_choice: choice, response_format: format }: Json): Said {
  const returned = (messages as Json[]).filter(({ role }) => role === 'tool').map(({ content }) => content)
  if (returned.length > 0) return { text: [returned.join('; ')], calls: [] }
  const forced = ((choice as Json | null)?.function as Json | undefined)?.name
  if (forced !== undefined && forced !== TOOL) return { text: [], calls: [called(0, String(forced), TOWN)] }
  if (Array.isArray(tools)) return { text: [], calls: CITIES.map((city, i) => called(i, TOOL, { city })) }
  if (format !== undefined && format !== null) return { text: ['{"city":"Oslo",', '"people":700000}'], calls: [] }
  return { text: PIECES, calls: [] }
}

function called(index: number, name: string, args: Json): Said['calls'][number] {
  return { id: `call_${index}`, name, args: JSON.stringify(args) }
}

function cutFrames(voice: Voice): string[] {
  const before = voice.frames({ text: ['Well,', ' then'], calls: [] }, true)
  const shown = before.findIndex((frame) => frame.includes('" then"'))
  return [...before.slice(0, shown + 1), ...voice.cut]
}
