/** Deltas of chunks, as JSON: text, thoughts and tool calls of Claude's in OpenAI's members. */
import type { ToolBlock } from './open-block.ts'

export interface ShownDeltas {
  /** Characters of text so far. */
  readonly textLength: number
  text(text: string): void
  thought(text: string): void
  /** What the call has that was not shown yet. */
  call(block: ToolBlock): void
}

/** `show` gets a delta as JSON, and the output text in it. */
export function createShownDeltas(show: (delta: string, text: string) => void): ShownDeltas {
  let textLength = 0
  return {
    get textLength() {
      return textLength
    },
    text(text) {
      if (text === '') return
      textLength += text.length
      show(`{"content":${JSON.stringify(text)}}`, text)
    },
    thought(text) {
      if (text !== '') show(`{"reasoning_content":${JSON.stringify(text)}}`, text)
    },
    call(block) {
      if (block.sent && block.held === '') return
      const args = JSON.stringify(block.held)
      const called = block.sent
        ? `"function":{"arguments":${args}}`
        : `"id":${JSON.stringify(block.id)},"type":"function","function":{"name":${JSON.stringify(block.name)},"arguments":${args}}`
      show(`{"tool_calls":[{"index":${block.index},${called}}]}`, block.sent ? block.held : block.name + block.held)
      block.sent = true
      block.held = ''
    },
  }
}
