/** The content blocks of a stream while they arrive: what of each is shown, and what has to wait until it is whole. */

import { asObject } from '../json.ts'
import { blocksMember, type Carried, idWithBlocks } from './carried.ts'
import { type OpenBlock, type TextBlock, wholeBlock } from './open-block.ts'
import { annotation, isCarried } from './outcome.ts'
import { readBlockDelta } from './read-block-delta.ts'
import { createShownDeltas } from './shown-deltas.ts'
import { FORM_TOOL } from './tools.ts'

type Members = Readonly<Record<string, unknown>>

export interface ClaudeEvent extends Members {
  index?: unknown
  content_block?: unknown
  delta?: unknown
}

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
  const shown = createShownDeltas(show)
  let calls = 0
  /** How many carried blocks went into the ids of tool calls. */
  let given = 0

  function close(block: OpenBlock): void {
    if (block.kind === 'text') {
      for (const citation of block.citations) annotations.push(annotation(citation, block.start, shown.textLength))
    } else if (block.kind === 'tool') {
      if (!block.sent && block.held.trim() === '') block.held = JSON.stringify(asObject(block.input) ?? {})
      shown.call(block)
    } else if (block.kind === 'form') {
      if (block.empty) shown.text(JSON.stringify(asObject(block.input) ?? {}))
    } else carried.push(wholeBlock(block))
  }

  function startBlock(raw: Members): OpenBlock | null {
    const { type } = raw
    if (type === 'text') {
      const block: TextBlock = { kind: 'text', start: shown.textLength, citations: listOf(raw.citations) }
      if (typeof raw.text === 'string') shown.text(raw.text)
      return block
    }
    if (type === 'tool_use' && raw.name === FORM_TOOL) return { kind: 'form', input: raw.input, empty: true }
    if (type === 'tool_use') {
      const id = idWithBlocks(typeof raw.id === 'string' ? raw.id : `call_${calls}`, carried.slice(given))
      given = carried.length
      calls += 1
      return toolBlock(raw, calls - 1, id)
    }
    if (!isCarried(type)) return null
    if (typeof raw.thinking === 'string') shown.thought(raw.thinking)
    return carriedBlock(raw, shown.textLength, calls)
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
    delta: (event) => readBlockDelta(open.get(indexOf(event)), asObject(event.delta) ?? {}, shown),
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
      return lastDelta(annotations, carried)
    },
    get calls() {
      return calls
    },
  }
}

function toolBlock(raw: Members, index: number, id: string): OpenBlock {
  const name = typeof raw.name === 'string' ? raw.name : ''
  return { kind: 'tool', index, id, name, input: raw.input, held: '', sent: false }
}

function carriedBlock(raw: Members, text: number, tools: number): OpenBlock {
  const pieces = typeof raw.thinking === 'string' ? [raw.thinking] : []
  return { kind: 'carried', block: { ...raw }, pieces, input: [], text, tools }
}

/** What clients can't add up from pieces; null where there is none. */
function lastDelta(annotations: readonly unknown[], carried: readonly Carried[]): string | null {
  const cited = annotations.length === 0 ? null : `"annotations":${JSON.stringify(annotations)}`
  const kept = carried.length === 0 ? null : `"thinking_blocks":${JSON.stringify(blocksMember(carried))}`
  const members = [cited, kept].filter((member) => member !== null)
  return members.length === 0 ? null : `{${members.join(',')}}`
}

function indexOf(event: ClaudeEvent): number {
  return typeof event.index === 'number' ? event.index : 0
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? [...(value as unknown[])] : []
}
