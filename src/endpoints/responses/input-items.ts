/** What a kept response was asked, item by item, as OpenAI lists it: each with an id to page by, made where its caller gave it none. */
import { createHash } from 'node:crypto'
import { asObject } from '../../../providers/json.ts'

type Json = Readonly<Record<string, unknown>>

export interface InputItem extends Json {
  id: string
  type: string
}

export interface Page {
  limit: number
  order: 'asc' | 'desc'
  /** The id of the item that the page comes after; left out for the first page. */
  after?: string | undefined
}

export interface ItemList {
  object: 'list'
  data: InputItem[]
  first_id: string | null
  last_id: string | null
  has_more: boolean
}

/** @param kept as it stands in the table. Null where no item has the id `after`. */
export function inputItems(kept: string, responseId: string, { limit, order, after }: Page): ItemList | null {
  const { input } = JSON.parse(kept) as { input?: unknown }
  const items = (Array.isArray(input) ? input : []).map((item, index) => itemOf(item, index, responseId))
  if (order === 'desc') items.reverse()
  const before = after === undefined ? -1 : items.findIndex(({ id }) => id === after)
  if (after !== undefined && before < 0) return null
  const data = items.slice(before + 1, before + 1 + limit)
  return {
    object: 'list',
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: before + 1 + data.length < items.length,
  }
}

function itemOf(value: unknown, index: number, responseId: string): InputItem {
  const item = asObject(value) ?? {}
  const { id, type = 'message' } = item
  const named = {
    ...item,
    id: typeof id === 'string' && id !== '' ? id : madeId(responseId, index),
    type: typeof type === 'string' ? type : 'message',
  }
  return named.type === 'message' ? { ...named, status: 'completed', content: partsOf(item) } : named
}

/** The same at each time it is asked for, and of no use elsewhere. */
function madeId(responseId: string, index: number): string {
  return `in_${createHash('sha256')
    .update(JSON.stringify([responseId, index]))
    .digest('hex')
    .slice(0, 40)}`
}

function partsOf({ role, content }: Json): unknown {
  if (typeof content !== 'string') return content
  return role === 'assistant'
    ? [{ type: 'output_text', text: content, annotations: [] }]
    : [{ type: 'input_text', text: content }]
}
