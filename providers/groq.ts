/**
 * Groq: OpenAI's dialect. Usage comes up to three times in a stream and, unasked, only inside `x_groq`; a failure in mid-stream is
 * an `event: error`; unknown members are refused rather than ignored.
 */
import { asObject } from './json.ts'
import { unknownMedia } from './media/media-size.ts'
import { MESSAGE_NAMES } from './openai-body.ts'
import { droppable, isSet, openAiDialect, PLAIN_MODEL } from './openai-dialect.ts'
import type { OpenAiFacts } from './openai-facts.ts'
import { openAiSpeech } from './openai-speech/capability.ts'
import { openAiTranscriptions } from './openai-transcriptions/capability.ts'
import type { ChatProvider, ModelFacts, Refusal, ServerTool } from './provider.ts'
import type { MaybeSpeechProvider } from './speech.ts'
import type { MaybeTranscriptionProvider } from './transcriptions.ts'

type Json = Readonly<Record<string, unknown>>

const LABEL = 'Groq'

const FACTS: OpenAiFacts = {
  name: 'groq',
  label: LABEL,
  baseUrl: 'https://api.groq.com/openai/v1',
  keyVariables: ['GROQ_API_KEY'],
  domain: 'groq.com',
  billsAbandoned: true,
  model: groqModel,
  mediaTokens: () => unknownMedia,
  capMember: () => 'either',
  serverTools,
  saysNothing: { store: false },
  refuses,
  // A compound system is priced by the models it used; the dearest of them until they are known.
  pricedAs: (asked, served) => (/compound/.test(served ?? asked) ? 'llama-3.3-70b-versatile' : (served ?? asked)),
  readToolUses: (_, chunk) => executedTools(chunk),
  readModels: (chunk) => {
    const models = asObject(chunk.usage_breakdown)?.models
    return (Array.isArray(models) ? models : []).flatMap((entry) => {
      const { model, usage } = asObject(entry) ?? {}
      return typeof model === 'string' ? [{ model, usage }] : []
    })
  },
}

/** What is shorter than ten seconds is billed as ten. */
const SHORTEST_RECORDING = 10

export const groq: ChatProvider & MaybeTranscriptionProvider & MaybeSpeechProvider = {
  ...openAiDialect(FACTS),
  speech: openAiSpeech(FACTS),
  transcriptions: openAiTranscriptions(FACTS, { shortest: SHORTEST_RECORDING, isUnstreamed: () => true }),
}

const OUTPUT_LIMITS: readonly (readonly [RegExp, number])[] = [
  [/gpt-oss/, 65_536],
  [/kimi-k2/, 16_384],
  [/llama-3\.3-70b-versatile/, 32_768],
  [/llama-3\.1-8b-instant/, 131_072],
  [/llama-4|llama-guard/, 8_192],
  [/qwen3/, 40_960],
  [/compound/, 8_192],
]

function groqModel(name: string): ModelFacts {
  return {
    ...PLAIN_MODEL,
    maxOutputTokens: OUTPUT_LIMITS.find(([pattern]) => pattern.test(name))?.[1] ?? null,
    // Shown as `delta.reasoning`, unless the caller hides it.
    hiddenReasoning: /gpt-oss|qwen3|deepseek-r1|compound/.test(name),
    ...templateOf(name),
  }
}

/** What its models put around a conversation: gpt-oss a system prompt of some 65 tokens, Llama a date and rules for calls. */
function templateOf(name: string): Pick<ModelFacts, 'tokensPercent' | 'hiddenInput'> {
  if (/gpt-oss/.test(name)) return { tokensPercent: 100, hiddenInput: { always: 75, withTools: 20 } }
  if (/llama/.test(name)) return { tokensPercent: 100, hiddenInput: { always: 28, withTools: 60 } }
  return { tokensPercent: 105, hiddenInput: { always: 8, withTools: 40 } }
}

/** Compound systems search and run code by themselves; gpt-oss where the request lists such a tool. */
function serverTools(json: Json, model: string): ServerTool[] {
  const kinds = new Set<string>()
  if (/compound/.test(model)) kinds.add('compound')
  for (const tool of Array.isArray(json.tools) ? json.tools : []) {
    const type = asObject(tool)?.type
    if (typeof type === 'string' && type !== 'function') kinds.add(type)
  }
  return [...kinds].map((kind) => ({ kind, uses: 1, addsInput: true, billedByUse: kind !== 'compound' }))
}

function refuses(json: Json): Refusal[] {
  const refused = ['logit_bias', 'top_logprobs', 'metadata', 'prediction', 'modalities', 'audio'].filter((key) =>
    isSet(json, key),
  )
  refused.push(...['logprobs', 'store'].filter((key) => isSet(json, key, false)))
  if (isSet(json, 'n', 1)) refused.push('n')
  if (Array.isArray(json.messages) && json.messages.some(isNamed)) refused.push(MESSAGE_NAMES)
  return refused.map((param) => droppable(param, LABEL))
}

/** Groq's own examples name the tool in its result, and LangChain always does. */
function isNamed(value: unknown): boolean {
  const message = asObject(value)
  return message !== null && message.role !== 'tool' && isSet(message, 'name')
}

const TOOL_KINDS: ReadonlyMap<string, string> = new Map([
  ['search', 'web_search'],
  ['python', 'code_execution'],
])

/** The tools a compound system ran, by kind. */
function executedTools(chunk: Json): Record<string, number> {
  const uses = new Map<string, number>()
  for (const choice of Array.isArray(chunk.choices) ? chunk.choices : []) {
    const executed = asObject(asObject(choice)?.message)?.executed_tools
    for (const tool of Array.isArray(executed) ? executed : []) {
      const type = asObject(tool)?.type
      if (typeof type !== 'string') continue
      const kind = TOOL_KINDS.get(type) ?? type
      uses.set(kind, (uses.get(kind) ?? 0) + 1)
    }
  }
  return Object.fromEntries(uses)
}
