/** The content blocks of a stream while they arrive: what of each is shown, and what has to wait until it is whole. */

import { asObject, parseJson } from '../json.ts'
import { blocksMember, type Carried, idWithBlocks } from './carried.ts'
import { annotation, isCarried } from './outcome.ts'
import { FORM_TOOL } from './tools.ts'

type Members = Readonly<Record<string, unknown>>

export interface ClaudeEvent extends Members {
  index?: unknown
  content_block?: unknown
  delta?: unknown
}

/** A tool call this long goes out before it is whole. */
const HELD_CHARS_MAX = 1_024

interface TextBlock {
  kind: 'text'
  start: number
  citations: unknown[]
}
interface ToolBlock {
  kind: 'tool'
  index: number
  id: string
  name: string
  /** As it stood at the start: a server that sends no pieces has it all there. */
  input: unknown
  held: string
  sent: boolean
}
/** The call that carries an answer's form: its arguments are the content. */
interface FormBlock {
  kind: 'form'
  input: unknown
  empty: boolean
}
interface CarriedBlock {
  kind: 'carried'
  block: Record<string, unknown>
  pieces: string[]
  input: string[]
  text: number
  tools: number
}
type OpenBlock = TextBlock | ToolBlock | FormBlock | CarriedBlock

export interface StreamBlocks {
  start(event: ClaudeEvent): void
  delta(event: ClaudeEvent): void
  stop(event: ClaudeEvent): void
  /** Another message begins: what was not shown is dropped. False where half a tool call was shown, which can't be taken back. */
  restart(): boolean
  /** All blocks are over; the delta of what comes in one piece, or null. */
  end(): string | null
  /** Tool calls the caller sees. */
  readonly calls: number
}

/** `show` gets a delta as JSON, and the output text in it. */
export function createStreamBlocks({ show }: { show: (delta: string, text: string) => void }): StreamBlocks {
  let open = new Map<number, OpenBlock>()
  let carried: Carried[] = []
  const annotations: Record<string, unknown>[] = []
  let textLength = 0
  let calls = 0
  /** How many carried blocks went into the ids of tool calls. */
  let given = 0

  function showText(text: string): void {
    if (text === '') return
    textLength += text.length
    show(`{"content":${JSON.stringify(text)}}`, text)
  }

  function showThought(text: string): void {
    if (text !== '') show(`{"reasoning_content":${JSON.stringify(text)}}`, text)
  }

  function showCall(block: ToolBlock): void {
    if (block.sent && block.held === '') return
    const args = JSON.stringify(block.held)
    const called = block.sent
      ? `"function":{"arguments":${args}}`
      : `"id":${JSON.stringify(block.id)},"type":"function","function":{"name":${JSON.stringify(block.name)},"arguments":${args}}`
    show(`{"tool_calls":[{"index":${block.index},${called}}]}`, block.sent ? block.held : block.name + block.held)
    block.sent = true
    block.held = ''
  }

  function close(block: OpenBlock): void {
    if (block.kind === 'text') {
      for (const citation of block.citations) annotations.push(annotation(citation, block.start, textLength))
    } else if (block.kind === 'tool') {
      if (!block.sent && block.held.trim() === '') block.held = JSON.stringify(asObject(block.input) ?? {})
      showCall(block)
    } else if (block.kind === 'form') {
      if (block.empty) showText(JSON.stringify(asObject(block.input) ?? {}))
    } else {
      const { pieces, input, text, tools } = block
      const whole = { ...block.block }
      if (whole.type === 'thinking') whole.thinking = pieces.join('')
      else if (whole.type === 'compaction' && pieces.length > 0) whole.content = pieces.join('')
      if (input.length > 0) whole.input = asObject(parseJson(input.join(''))) ?? {}
      carried.push({ block: whole, text, tools })
    }
  }

  function startBlock(raw: Members): OpenBlock | null {
    const { type } = raw
    if (type === 'text') {
      const block: TextBlock = { kind: 'text', start: textLength, citations: listOf(raw.citations) }
      if (typeof raw.text === 'string') showText(raw.text)
      return block
    }
    if (type === 'tool_use' && raw.name === FORM_TOOL) return { kind: 'form', input: raw.input, empty: true }
    if (type === 'tool_use') {
      const id = idWithBlocks(typeof raw.id === 'string' ? raw.id : `call_${calls}`, carried.slice(given))
      given = carried.length
      const name = typeof raw.name === 'string' ? raw.name : ''
      calls += 1
      return { kind: 'tool', index: calls - 1, id, name, input: raw.input, held: '', sent: false }
    }
    if (!isCarried(type)) return null
    const pieces = typeof raw.thinking === 'string' ? [raw.thinking] : []
    if (typeof raw.thinking === 'string') showThought(raw.thinking)
    return { kind: 'carried', block: { ...raw }, pieces, input: [], text: textLength, tools: calls }
  }

  function readDelta(block: OpenBlock | undefined, delta: Members): void {
    switch (delta.type) {
      case 'text_delta':
        if (typeof delta.text === 'string') showText(delta.text)
        break
      case 'thinking_delta':
        if (typeof delta.thinking !== 'string') break
        if (block?.kind === 'carried') block.pieces.push(delta.thinking)
        showThought(delta.thinking)
        break
      case 'signature_delta':
        if (block?.kind !== 'carried' || typeof delta.signature !== 'string') break
        block.block.signature = `${block.block.signature ?? ''}${delta.signature}`
        break
      case 'input_json_delta':
        if (typeof delta.partial_json === 'string' && block !== undefined) readInput(block, delta.partial_json)
        break
      case 'citations_delta':
        if (block?.kind === 'text') block.citations.push(delta.citation)
        break
      case 'compaction_delta':
        if (block?.kind === 'carried' && typeof delta.content === 'string') block.pieces.push(delta.content)
        break
    }
  }

  function readInput(block: OpenBlock, piece: string): void {
    if (block.kind === 'carried') block.input.push(piece)
    else if (block.kind === 'form') {
      if (piece !== '') block.empty = false
      showText(piece)
    } else if (block.kind === 'tool') {
      block.held += piece
      if (block.sent || block.held.length >= HELD_CHARS_MAX) showCall(block)
    }
  }

  return {
    start(event) {
      const at = indexOf(event)
      // A server that does not say when a block is over.
      const before = open.get(at)
      if (before !== undefined) close(before)
      const block = startBlock(asObject(event.content_block) ?? {})
      if (block === null) open.delete(at)
      else open.set(at, block)
    },
    delta(event) {
      readDelta(open.get(indexOf(event)), asObject(event.delta) ?? {})
    },
    stop(event) {
      const at = indexOf(event)
      const block = open.get(at)
      open.delete(at)
      if (block !== undefined) close(block)
    },
    restart() {
      const isHalfShown = [...open.values()].some((block) => block.kind === 'tool' && block.sent)
      for (const block of open.values()) if (block.kind === 'tool' && !block.sent) calls -= 1
      open = new Map()
      carried = []
      given = 0
      return !isHalfShown
    },
    end() {
      for (const block of open.values()) close(block)
      open.clear()
      const cited = annotations.length === 0 ? null : `"annotations":${JSON.stringify(annotations)}`
      const kept = carried.length === 0 ? null : `"thinking_blocks":${JSON.stringify(blocksMember(carried))}`
      const members = [cited, kept].filter((member) => member !== null)
      return members.length === 0 ? null : `{${members.join(',')}}`
    },
    get calls() {
      return calls
    },
  }
}

function indexOf(event: ClaudeEvent): number {
  return typeof event.index === 'number' ? event.index : 0
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? [...(value as unknown[])] : []
}
