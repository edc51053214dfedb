/** Why Tollgate and LiteLLM's bridges differ, each with the places where that shows. What no rule names is a mistake of one of them. */
import type { BridgeCase } from './bridge-requests.ts'
import type { Difference } from './differences.ts'

interface Rule {
  reason: string
  side: Difference['side']
  path: RegExp
  /** Further conditions. @default none */
  if?: (difference: Difference, one: BridgeCase) => boolean
}

const isDefault = ({ ours, theirs }: Difference, value: unknown): boolean =>
  (ours ?? null) === null && JSON.stringify(theirs) === JSON.stringify(value)

/** The same text, in parts or joined; media stay. */
function textOf(content: unknown): string | null {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return null
  const texts = content.map((part) => (part as { type?: unknown; text?: unknown }).text)
  return texts.every((text) => typeof text === 'string') ? texts.join('\n') : null
}

const isSameText = ({ ours, theirs }: Difference): boolean => textOf(ours) !== null && textOf(ours) === textOf(theirs)

const RULES: readonly Rule[] = [
  {
    reason:
      'The cap goes upstream under both its names, whichever a server reads, and where the caller sets none the one the call is held for does: without a cap nobody can say what a call costs at most.',
    side: 'sent',
    path: /\.max_(?:completion_)?tokens$/,
    if: ({ ours, theirs }) => typeof ours === 'number' && (theirs ?? ours) === ours,
  },
  {
    reason:
      'What is the default is not sent: tool_choice auto, parallel_tool_calls true, strict false, no description.',
    side: 'sent',
    path: /\.(?:tool_choice|parallel_tool_calls|strict|description|index)$/,
    if: (difference) => [false, 'auto', true, '', 0].some((value) => isDefault(difference, value)),
  },
  {
    reason: 'LiteLLM takes additionalProperties out of the schemas of tools; here a schema goes as it was written.',
    side: 'sent',
    path: /\.function\.parameters\.additionalProperties$/,
    if: ({ ours, theirs }) => ours === false && theirs === undefined,
  },
  {
    reason: 'Texts in parts stay parts where they came so, or are joined by lines: a server reads the same.',
    side: 'sent',
    path: /\.content$/,
    if: isSameText,
  },
  {
    reason:
      "LiteLLM drops images for its DeepSeek, by which it bridges here; they go to the provider, which says itself what it can't read.",
    side: 'sent',
    path: /\.content$/,
    if: ({ ours, theirs }) => JSON.stringify(ours).includes('"image_url"') && typeof theirs === 'string',
  },
  {
    reason: 'Arguments of calls are written with the spaces of each language; they parse to the same.',
    side: 'sent',
    path: /\.function\.arguments$/,
    if: ({ ours, theirs }) => JSON.stringify(JSON.parse(String(ours))) === JSON.stringify(JSON.parse(String(theirs))),
  },
  {
    reason:
      'Usage states what the call cost its caller, and every bucket of tokens, zeros too, as Anthropic and OpenAI do.',
    side: 'answered',
    path: /\.usage\.(?:cost|input_tokens_details\.cache_write_tokens|cache_creation|cache_(?:creation|read)_input_tokens)$/,
    if: ({ path, ours, theirs }) =>
      theirs === undefined &&
      (path.endsWith('.cost') ||
        Object.values(Object(ours))
          .concat(0)
          .every((part) => part === 0 || typeof ours === 'number')),
  },
  {
    reason:
      "A response has all members that OpenAI's has: its defaults, background, reasoning, truncation, store, an empty list of logprobs.",
    side: 'answered',
    path: /\.answer\.(?:background|reasoning|truncation|text\.format|top_p|temperature|store|output\[\d+\]\.content\[\d+\]\.logprobs)$/,
    if: ({ theirs }) => theirs === undefined,
  },
  {
    reason: "Where the request does not forbid parallel calls, a response says true, as OpenAI's does.",
    side: 'answered',
    path: /\.answer\.parallel_tool_calls$/,
    if: ({ ours, theirs }, { body }) => ours === true && theirs === false && body.parallel_tool_calls !== false,
  },
  {
    reason:
      "Thoughts are a summary, as OpenAI's reasoning item has them; LiteLLM writes an item with the role and the parts of a message.",
    side: 'answered',
    path: /\.output\[\d+\]\.(?:summary|role|content|status)$/,
    if: (_, { said }) => said.thought !== null,
  },
  {
    reason: "A thought has a signature, an empty one, for Anthropic's clients expect a text.",
    side: 'answered',
    path: /\.content\[\d+\]\.signature$/,
    if: ({ ours, theirs }) => ours === '' && (theirs ?? null) === null,
  },
]

/** Null: nobody knows why. */
export function reasonOf(difference: Difference, one: BridgeCase): string | null {
  const rule = RULES.find(
    ({ side, path, if: holds }) =>
      side === difference.side && path.test(difference.path) && (holds?.(difference, one) ?? true),
  )
  return rule?.reason ?? null
}
