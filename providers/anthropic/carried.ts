/**
 * How Claude's thinking survives an OpenAI client. Claude signs its thoughts (or encrypts them whole) and, when a turn that called
 * tools goes on, wants them back unchanged and in their places. OpenAI's messages have no member for that, so they travel twice:
 *
 * - as `thinking_blocks` on the message, for clients that send a message back as they got it (and for those that know LiteLLM's
 *   member of this name). Blocks of server-side tools are carried there too;
 * - inside the id of the next tool call: `toolu_01abc__sig_<deflated, base64url>`. Every client returns ids, also those that keep
 *   only what they know (Vercel AI SDK, LangChain). Such an id is cut at the marker before it goes to Claude.
 *
 * A carried block says how many characters of the content and how many tool calls came before it. What is too long for an id is
 * left to `thinking_blocks` alone; a turn whose thoughts are lost is continued without manual thinking (anthropic/request.ts).
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { bareId } from '../carried-id.ts'
import { asObject, parseJson } from '../json.ts'

export type Block = Readonly<Record<string, unknown>>

export interface Carried {
  block: Block
  /** UTF-16 units of the content before it, and tool calls. */
  text: number
  tools: number
}

const MARKER = '__sig_'
/** More than any thought of a few thousand words needs; ids are kept in memory and databases. */
const PAYLOAD_CHARS_MAX = 64 * 1024
const INFLATED_BYTES_MAX = 1024 * 1024
/** Deflated text of any language is a third to a tenth of itself. What inflates to more than this was made to. */
const RATIO_MAX = 32
const SLACK_BYTES = 1024
/**
 * Of all ids of a request: half a million tokens of thoughts. They are inflated before the call is held, since it is held for them;
 * so much takes a few milliseconds.
 */
const REQUEST_BYTES_MAX = 2 * 1024 * 1024

/** What the ids of one request may still inflate to. */
export interface InflateBudget {
  left: number
}

export function createInflateBudget(): InflateBudget {
  return { left: REQUEST_BYTES_MAX }
}

/** The id a client gets for a tool call: Claude's own, and the blocks since the call before. */
export function idWithBlocks(id: string, blocks: readonly Carried[]): string {
  if (blocks.length === 0) return id
  const json = Buffer.from(JSON.stringify(blocks.map(({ block, text }) => [text, block])))
  const deflated = deflateRawSync(json)
  const payload = deflated.toString('base64url')
  const fits = payload.length <= PAYLOAD_CHARS_MAX && json.length <= inflatedMax(deflated.length)
  return fits ? `${id}${MARKER}${payload}` : id
}

/** The blocks in the ids of a message's tool calls; none where an id is not one of ours, or damaged, or the budget is used up. */
export function blocksOfIds(ids: readonly string[], budget: InflateBudget): Carried[] {
  return ids.flatMap((id, tools) => {
    const at = id.indexOf(MARKER)
    if (at < 0) return []
    const list = inflate(id.slice(at + MARKER.length), budget)
    if (!Array.isArray(list)) return []
    return list.flatMap((entry): Carried[] => {
      const [text, raw] = Array.isArray(entry) ? (entry as unknown[]) : []
      const block = carriable(raw)
      return block === null || !isCount(text) ? [] : [{ block, text, tools }]
    })
  })
}

function inflatedMax(deflated: number): number {
  return Math.min(INFLATED_BYTES_MAX, deflated * RATIO_MAX + SLACK_BYTES)
}

function inflate(payload: string, budget: InflateBudget): unknown {
  const deflated = Buffer.from(payload, 'base64url')
  const most = inflatedMax(deflated.length)
  if (budget.left <= 0) return null
  try {
    const inflated = inflateRawSync(deflated, { maxOutputLength: most })
    budget.left -= inflated.length
    return parseJson(inflated)
  } catch {
    // It may have come that far.
    budget.left -= most
    return null
  }
}

/** The id as Claude is sent it, and the text of the blocks it carries. The ids of a request were measured before: `readConversation`. */
export function unpackClaudeId(id: string): { id: string; carried: string } {
  const blocks = id.includes(MARKER) ? blocksOfIds([id], createInflateBudget()).map(({ block }) => block) : []
  return { id: bareId(id), carried: blocks.length === 0 ? '' : JSON.stringify(blocks) }
}

/** As the member of a message. */
export function blocksMember(blocks: readonly Carried[]): Record<string, unknown>[] {
  return blocks.map(({ block, text, tools }) => (text + tools > 0 ? { ...block, at: { text, tools } } : { ...block }))
}

/** Reads `thinking_blocks`; null where the message has none. */
export function blocksOfMember(value: unknown): Carried[] | null {
  if (!Array.isArray(value)) return null
  const blocks = value.flatMap((entry): Carried[] => {
    const { at, ...rest } = asObject(entry) ?? {}
    const block = carriable(rest)
    const { text, tools } = asObject(at) ?? {}
    return block === null ? [] : [{ block, text: isCount(text) ? text : 0, tools: isCount(tools) ? tools : 0 }]
  })
  return blocks.length > 0 ? blocks : null
}

/** What Claude made itself and takes back. Nothing else: a client must not slip content past the estimate here. */
const SERVER_BLOCK = /^(?:server_tool_use|mcp_tool_use|compaction|[a-z_]+_tool_result|mcp_tool_result)$/

function carriable(value: unknown): Block | null {
  const block = asObject(value)
  if (block === null || typeof block.type !== 'string') return null
  if (block.type === 'thinking') {
    const { thinking, signature } = block
    if (typeof thinking !== 'string' || typeof signature !== 'string' || signature === '') return null
    return { type: 'thinking', thinking, signature }
  }
  if (block.type === 'redacted_thinking') {
    return typeof block.data === 'string' ? { type: 'redacted_thinking', data: block.data } : null
  }
  return SERVER_BLOCK.test(block.type) ? block : null
}

export function isThought(block: Block | undefined): boolean {
  return block?.type === 'thinking' || block?.type === 'redacted_thinking'
}

/** The turn as Claude wrote it: text cut where a block stood, calls after the text they followed. */
export function turnBlocks(content: string, calls: readonly Block[], carried: readonly Carried[]): Block[] {
  const blocks: Block[] = []
  let text = 0
  let tools = 0
  const advance = (toText: number, toTools: number) => {
    const piece = content.slice(text, toText)
    if (piece.trim() !== '') blocks.push({ type: 'text', text: piece })
    text = Math.max(text, toText)
    for (; tools < Math.min(toTools, calls.length); tools += 1) blocks.push(calls[tools]!)
  }
  for (const entry of carried) {
    advance(entry.text, entry.tools)
    blocks.push(entry.block)
  }
  advance(content.length, calls.length)
  return blocks
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
