/** Turns the conversation into OpenAI's roles and parts. Thoughts are left out: no other provider takes Claude's. */
import { asObject } from '../../../../providers/json.ts'
import type { TollgateError } from '../../../http/errors.ts'
import { bad, unsupported } from '../../read-members.ts'

type Json = Readonly<Record<string, unknown>>

/** @throws {TollgateError} 400. */
export function chatMessages(json: Json): Json[] {
  const messages: Json[] = []
  if ((json.system ?? null) !== null) messages.push({ role: 'system', content: textParts(json.system, 'system') })
  for (const [index, value] of (json.messages as unknown[]).entries()) {
    const { role, content } = asObject(value) ?? {}
    const path = `messages[${index}]`
    if (role === 'assistant') messages.push(assistantMessage(content, path))
    else if (role === 'user') messages.push(...userMessages(content, path))
    else if (role === 'system') messages.push({ role, content: textParts(content, `${path}.content`) })
    else throw bad(`${path}.role`, `"${path}.role" must be user, assistant or system.`)
  }
  return messages
}

const SILENT = new Set(['thinking', 'redacted_thinking'])

function assistantMessage(content: unknown, path: string): Json {
  const texts: string[] = []
  const calls: Json[] = []
  for (const [block, place] of blocksOf(content, path)) {
    if (block.type === 'text') texts.push(textOf(block, place))
    else if (block.type === 'tool_use') {
      const args = JSON.stringify(block.input ?? {})
      calls.push({ id: block.id, type: 'function', function: { name: block.name, arguments: args } })
    } else if (!SILENT.has(String(block.type))) throw onlyClaude(block, place)
  }
  const text = texts.join('')
  if (calls.length === 0) return { role: 'assistant', content: text }
  return { role: 'assistant', content: text === '' ? null : text, tool_calls: calls }
}

/** The result of each tool is one message, before what the user says. Images in results follow as the user's. */
function userMessages(content: unknown, path: string): Json[] {
  if (typeof content === 'string') return [{ role: 'user', content }]
  const results: Json[] = []
  const said: Json[] = []
  for (const [block, place] of blocksOf(content, path)) {
    if (block.type !== 'tool_result') {
      said.push(...userParts(block, place))
      continue
    }
    const parts = blocksOf(block.content ?? '', place).flatMap(([inner, at]) => userParts(inner, at))
    const text = parts.flatMap((part) => (part.type === 'text' ? [String(part.text)] : [])).join('\n')
    results.push({ role: 'tool', tool_call_id: block.tool_use_id, content: text })
    said.push(...parts.filter((part) => part.type !== 'text'))
  }
  return said.length === 0 ? results : [...results, { role: 'user', content: said }]
}

function userParts(block: Json, path: string): Json[] {
  if (block.type === 'text') return [{ type: 'text', text: textOf(block, path) }]
  const source = asObject(block.source) ?? {}
  const { type, media_type: mediaType, data, url } = source
  if (block.type === 'image' && type === 'base64')
    return [{ type: 'image_url', image_url: { url: `data:${String(mediaType)};base64,${String(data)}` } }]
  if (block.type === 'image' && type === 'url') return [{ type: 'image_url', image_url: { url } }]
  if (block.type !== 'document') throw onlyClaude(block, path)
  if (type === 'text') return [{ type: 'text', text: String(data) }]
  if (type === 'content')
    return blocksOf(source.content, `${path}.source`).flatMap(([inner, at]) => userParts(inner, at))
  if (type !== 'base64') throw onlyClaude(block, path)
  const name = typeof block.title === 'string' ? block.title : 'document.pdf'
  return [{ type: 'file', file: { filename: name, file_data: `data:${String(mediaType)};base64,${String(data)}` } }]
}

function textParts(content: unknown, path: string): string {
  return blocksOf(content, path)
    .map(([block, place]) => textOf(block, place))
    .join('\n')
}

function blocksOf(content: unknown, path: string): (readonly [Json, string])[] {
  if (typeof content === 'string') return [[{ type: 'text', text: content }, path]]
  if (!Array.isArray(content)) throw bad(`${path}.content`, `"${path}.content" must be a text or a list of blocks.`)
  return content.map((value, index) => {
    const place = `${path}.content[${index}]`
    const block = asObject(value)
    if (block === null) throw bad(place, `"${place}" must be an object with a "type".`)
    return [block, place] as const
  })
}

function textOf({ text }: Json, path: string): string {
  if (typeof text === 'string') return text
  throw bad(`${path}.text`, `"${path}.text" must be a text.`)
}

function onlyClaude({ type }: Json, path: string): TollgateError {
  const shown = String(type).slice(0, 64)
  const message = `Only Claude can read "${path}", a block of type '${shown}' in this form. Leave it out, or ask for a Claude model.`
  return unsupported(path, message)
}
