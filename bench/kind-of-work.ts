/** What a stack of the proxy was at work on, for the question whether a stream is passed on or worked through. */
import type { CallFrame } from './profile.ts'

export const SCANNER = 'scanner'
export const TOKENIZER = 'tokenizer, and its text'
export const JSON_WORK = 'JSON'

/** Reading what a stream showed in order to count it: all of it, its JSON too. */
const COUNTING = /\/tiktoken\/|\/metering\/(?:tokenizer|count-tokens)|\/chat\/count-input/
const COUNTED_TEXT = new Set(['textSince', 'outputText', 'collectText'])

/** By the innermost frame that is one of these. */
const FILES: readonly (readonly [RegExp, string])[] = [
  [/\/providers\/(?:sse-frames|openai-stream)\.ts$/, SCANNER],
  [/\/providers\/json\.ts$|\/http\/json-members\.ts$|\/chat\/read-request\.ts$/, JSON_WORK],
  [/\/metering\/estimate/, 'estimate of the input'],
  [/\/src\/ledger\/|\/node_modules\/(?:pg|kysely)/, 'ledger'],
  [/\/src\/|\/providers\//, 'the rest of Tollgate'],
  // Called from everywhere above, so what calls it tells.
  [/^node:(?!buffer)|\/node_modules\//, 'Node, undici, hono'],
]

/** @param stack innermost first. */
export function kindOfWork(stack: readonly CallFrame[]): string {
  const leaf = stack[0]?.functionName ?? ''
  if (leaf === '(garbage collector)') return 'garbage collection'
  if (stack.some(({ functionName, url }) => COUNTING.test(url) || COUNTED_TEXT.has(functionName))) return TOKENIZER
  for (const { url } of stack) {
    const found = FILES.find(([pattern]) => pattern.test(url))
    if (found !== undefined) return found[1]
  }
  return 'V8 itself'
}
