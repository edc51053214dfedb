/** Turns the conversation into OpenAI's older roles and parts. Thoughts are left out; a model's signatures travel inside the ids of its calls. */
import { asObject } from '../../../../providers/json.ts'
import { bad } from '../../read-members.ts'
import { chatPartOf, isTextPart } from '../chat-part.ts'
import { functionName, list, onlyOpenAi } from './tool-names.ts'

type Json = Readonly<Record<string, unknown>>

/** Items without a meaning for another model: thoughts, a provider's own look-ups, and tools, which are read elsewhere. */
const SILENT: ReadonlySet<unknown> = new Set([
  ...[
    'reasoning',
    'web_search_call',
    'additional_tools',
    'tool_search_call',
    'tool_search_output',
    'configuration_update',
  ],
])

/** What the assistant said and called before the next answer. */
interface Turn {
  texts: string[]
  calls: Json[]
}

/** @throws {TollgateError} 400. */
export function chatMessages({ instructions, input }: Json): Json[] {
  const messages: Json[] = []
  let turn: Turn | null = null

  function endTurn(): void {
    if (turn === null) return
    const text = turn.texts.join('')
    const content = text === '' && turn.calls.length > 0 ? null : text
    messages.push({ role: 'assistant', content, ...(turn.calls.length === 0 ? {} : { tool_calls: turn.calls }) })
    turn = null
  }

  function addItem(item: Json, path: string): void {
    const { type = 'message', role } = item
    if (SILENT.has(type)) return
    if (type === 'message' && role === 'assistant') {
      turn ??= { texts: [], calls: [] }
      turn.texts.push(textOf(item.content, `${path}.content`))
      return
    }
    if (type === 'function_call' || type === 'custom_tool_call') {
      turn ??= { texts: [], calls: [] }
      turn.calls.push(chatCall(item))
      return
    }
    endTurn()
    if (type === 'function_call_output' || type === 'custom_tool_call_output')
      messages.push(...resultMessages(item, path))
    else if (type !== 'message') throw onlyOpenAi(item, path)
    else messages.push(chatMessage(item, path))
  }

  if (typeof instructions === 'string' && instructions !== '') messages.push({ role: 'system', content: instructions })
  if (typeof input === 'string') messages.push({ role: 'user', content: input })
  else for (const [index, item] of list(input).entries()) addItem(asObject(item) ?? {}, `input[${index}]`)
  endTurn()
  return messages
}

function chatMessage({ role, content }: Json, path: string): Json {
  if (role === 'user') return { role, content: userContent(content, `${path}.content`) }
  if (role === 'system' || role === 'developer') return { role: 'system', content: textOf(content, `${path}.content`) }
  throw bad(`${path}.role`, `"${path}.role" must be user, assistant, system or developer.`)
}

function chatCall({ type, call_id: id, name, namespace, arguments: args, input }: Json): Json {
  const own = functionName({ name: String(name), namespace: typeof namespace === 'string' ? namespace : null })
  const text =
    type === 'custom_tool_call' ? JSON.stringify({ input }) : typeof args === 'string' && args !== '' ? args : '{}'
  return { id, type: 'function', function: { name: own, arguments: text } }
}

/** The result of a tool. Images in it follow as the user's. */
function resultMessages({ call_id, output }: Json, path: string): Json[] {
  const parts = partsOf(output, `${path}.output`)
  const text = parts.flatMap((part) => (part.type === 'text' ? [String(part.text)] : [])).join('\n')
  const others = parts.filter((part) => part.type !== 'text')
  const result = { role: 'tool', tool_call_id: call_id, content: text }
  return others.length === 0 ? [result] : [result, { role: 'user', content: others }]
}

function userContent(content: unknown, path: string): unknown {
  return typeof content === 'string' ? content : partsOf(content, path)
}

function textOf(content: unknown, path: string): string {
  return partsOf(content, path)
    .map((part) => {
      if (part.type === 'text') return String(part.text)
      throw bad(path, `"${path}" must be a text or a list of texts.`)
    })
    .join('')
}

function partsOf(content: unknown, path: string): Json[] {
  if (typeof content === 'string') return [{ type: 'text', text: content }]
  if (!Array.isArray(content)) throw bad(path, `"${path}" must be a text or a list of parts.`)
  return content.map((value, index) => {
    const part = asObject(value) ?? {}
    if (isTextPart(part)) return { type: 'text', text: String(part.text ?? part.refusal ?? '') }
    const chat = chatPartOf(part)
    // A file named by an id is at OpenAI, where nobody else can fetch it.
    if (chat.type === 'image_url' || chat.type === 'input_audio' || asObject(chat.file)?.file_data !== undefined)
      return chat
    throw onlyOpenAi(part, `${path}[${index}]`)
  })
}
