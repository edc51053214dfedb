/** A delta of a content block: what of it is shown at once, and what its block keeps until it is whole. */
import type { OpenBlock } from './open-block.ts'
import type { ShownDeltas } from './shown-deltas.ts'

type Members = Readonly<Record<string, unknown>>

/** A tool call this long goes out before it is whole. */
const HELD_CHARS_MAX = 1_024

/** `block` is undefined where the delta is of no block that was announced: what can be shown is shown. */
export function readBlockDelta(block: OpenBlock | undefined, delta: Members, shown: ShownDeltas): void {
  switch (delta.type) {
    case 'text_delta':
      if (typeof delta.text === 'string') shown.text(delta.text)
      break
    case 'thinking_delta':
      if (typeof delta.thinking !== 'string') break
      if (block?.kind === 'carried') block.pieces.push(delta.thinking)
      shown.thought(delta.thinking)
      break
    case 'signature_delta':
      if (block?.kind !== 'carried' || typeof delta.signature !== 'string') break
      block.block.signature = `${block.block.signature ?? ''}${delta.signature}`
      break
    case 'input_json_delta':
      if (typeof delta.partial_json === 'string' && block !== undefined) readInput(block, delta.partial_json, shown)
      break
    case 'citations_delta':
      if (block?.kind === 'text') block.citations.push(delta.citation)
      break
    case 'compaction_delta':
      if (block?.kind === 'carried' && typeof delta.content === 'string') block.pieces.push(delta.content)
      break
  }
}

function readInput(block: OpenBlock, piece: string, shown: ShownDeltas): void {
  if (block.kind === 'carried') block.input.push(piece)
  else if (block.kind === 'form') {
    if (piece !== '') block.empty = false
    shown.text(piece)
  } else if (block.kind === 'tool') {
    block.held += piece
    if (block.sent || block.held.length >= HELD_CHARS_MAX) shown.call(block)
  }
}
