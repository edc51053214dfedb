/** The items of a running response: what each has said, so that what is open can be closed where the stream is stopped. */
import { asObject } from '../json.ts'
import { usesIn } from './tools.ts'

type Json = Readonly<Record<string, unknown>>

interface OpenItem {
  item: Json
  /** By the place of the part. */
  parts: Map<number, string[]>
}

export interface Items {
  /** Of its output, in order: those that ended as they ended, the others as far as they came. */
  output(): Json[]
  /** Those that have not ended. */
  open(): { index: number; item: Json; texts: readonly string[] }[]
  /** Uses of the provider's own tools. */
  uses(): Record<string, number>
  add(index: number, item: unknown): void
  say(index: number, part: unknown, text: string): void
  end(index: number, item: unknown): void
}

export function createItems(): Items {
  const opened = new Map<number, OpenItem>()
  const ended = new Map<number, Json>()
  const textsOf = ({ parts }: OpenItem) => [...parts].sort(([a], [b]) => a - b).map(([, pieces]) => pieces.join(''))

  return {
    output() {
      const all: [number, Json][] = [...ended]
      for (const [index, open] of opened) all.push([index, brokenOff(open.item, textsOf(open))])
      return all.sort(([a], [b]) => a - b).map(([, item]) => item)
    },
    open: () => [...opened].map(([index, open]) => ({ index, item: open.item, texts: textsOf(open) })),
    uses: () => usesIn([...ended.values()]),
    add(index, item) {
      const known = asObject(item)
      if (known !== null && !ended.has(index)) opened.set(index, { item: known, parts: new Map() })
    },
    say(index, part, text) {
      const open = opened.get(index)
      if (open === undefined) return
      const place = typeof part === 'number' ? part : 0
      const pieces = open.parts.get(place)
      if (pieces === undefined) open.parts.set(place, [text])
      else pieces.push(text)
    },
    end(index, item) {
      opened.delete(index)
      const known = asObject(item)
      if (known !== null) ended.set(index, known)
    },
  }
}

/** An item as it is where its response was stopped. */
export function brokenOff(item: Json, texts: readonly string[]): Json {
  const text = texts.join('')
  if (item.type === 'message') {
    const content = texts.map((part) => ({ type: 'output_text', text: part, annotations: [], logprobs: [] }))
    return { ...item, status: 'incomplete', content }
  }
  if (item.type === 'function_call') return { ...item, status: 'incomplete', arguments: text }
  if (item.type === 'custom_tool_call') return { ...item, status: 'incomplete', input: text }
  if (item.type === 'reasoning') return item
  return { ...item, status: 'incomplete' }
}
