/**
 * A request recorded in Anthropic's or Google's words, as a client of OpenAI's dialect would have sent it: text, images, tools and
 * their results, schemas. What has no such word (cache marks, thinking budgets) is left out; tools of the provider's own are named.
 */
import { asObject } from '../../providers/json.ts'

type Json = Record<string, unknown>

export interface Translated {
  request: Json
  /** Types of tools the provider runs itself; the request above is without them. */
  serverTools: string[]
}

export function fromAnthropic(body: Json): Translated {
  const { model, max_tokens, temperature, top_p, stop_sequences: stop, system, output_config, output_format } = body
  const tools = objects(body.tools)
  const format = asObject(asObject(output_config)?.format) ?? asObject(output_format)
  return {
    request: {
      ...stated({ model, max_tokens, temperature, top_p, stop }),
      messages: [...systemMessage(system), ...objects(body.messages).flatMap(fromAnthropicMessage)],
      ...functionTools(tools.filter(isOwnTool).map((tool) => ({ ...tool, parameters: tool.input_schema }))),
      ...schemaFormat(format?.schema),
      ...(['enabled', 'adaptive'].includes(String(asObject(body.thinking)?.type))
        ? { reasoning_effort: 'medium' }
        : {}),
    },
    serverTools: tools.filter((tool) => !isOwnTool(tool)).map((tool) => String(tool.type)),
  }
}

function isOwnTool(tool: Json): boolean {
  return tool.type === undefined || tool.type === 'custom'
}

function fromAnthropicMessage({ role, content }: Json): Json[] {
  if (typeof content === 'string') return [{ role, content }]
  const blocks = objects(content)
  const results = blocks.filter(({ type }) => type === 'tool_result')
  const uses = blocks.filter(({ type }) => type === 'tool_use')
  const parts = blocks.flatMap(anthropicPart)
  const messages: Json[] = results.map((block) => ({
    role: 'tool',
    tool_call_id: block.tool_use_id,
    content: textOf(block.content),
  }))
  if (parts.length === 0 && uses.length === 0) return messages
  const calls = uses.map(({ id, name, input }) => toolCall(String(id), name, input))
  return [...messages, { role, content: shortest(parts), ...(calls.length > 0 ? { tool_calls: calls } : {}) }]
}

function anthropicPart({ type, text, source }: Json): Json[] {
  const from = asObject(source)
  if (type === 'text') return [{ type: 'text', text }]
  if (from === null) return []
  const url = from.type === 'url' ? from.url : `data:${String(from.media_type)};base64,${String(from.data)}`
  if (type === 'image') return [{ type: 'image_url', image_url: { url } }]
  return type === 'document' ? [{ type: 'file', file: { filename: 'document.pdf', file_data: url } }] : []
}

export function fromGemini(body: Json): Translated {
  const tools = objects(body.tools)
  const {
    maxOutputTokens: max_tokens,
    temperature,
    topP: top_p,
    stopSequences: stop,
    ...config
  } = asObject(body.generationConfig) ?? {}
  const functions = tools.flatMap((tool) => objects(tool.functionDeclarations))
  return {
    request: {
      ...stated({ model: body.model, max_tokens, temperature, top_p, stop }),
      messages: [
        ...systemMessage(asObject(body.systemInstruction)?.parts),
        ...objects(body.contents).flatMap((turn, index) => fromGeminiTurn(turn, index)),
      ],
      ...functionTools(functions.map((one) => ({ ...one, parameters: one.parametersJsonSchema ?? one.parameters }))),
      ...schemaFormat(config.responseJsonSchema ?? config.responseSchema),
    },
    serverTools: [
      ...tools.flatMap((tool) => Object.keys(tool).filter((kind) => kind !== 'functionDeclarations')),
      // What was put aside earlier is billed as input too, tools included.
      ...(typeof body.cachedContent === 'string' ? ['cachedContent'] : []),
    ],
  }
}

function fromGeminiTurn({ role, parts: all }: Json, turn: number): Json[] {
  const parts = objects(all)
  const results = objects(parts.map(({ functionResponse }) => functionResponse))
  const calls = objects(parts.map(({ functionCall }) => functionCall))
  const shown = parts.filter(({ thought }) => thought !== true).flatMap(geminiPart)
  const messages: Json[] = results.map(({ name, response }, index) => ({
    role: 'tool',
    tool_call_id: `call_${turn - 1}_${index}`,
    name,
    content: JSON.stringify(response),
  }))
  if (shown.length === 0 && calls.length === 0) return messages
  const made = calls.map(({ name, args }, index) => toolCall(`call_${turn}_${index}`, name, args))
  return [
    ...messages,
    {
      role: role === 'model' ? 'assistant' : 'user',
      content: shortest(shown),
      ...(made.length > 0 ? { tool_calls: made } : {}),
    },
  ]
}

function geminiPart({ text, inlineData, fileData }: Json): Json[] {
  if (typeof text === 'string') return [{ type: 'text', text }]
  const inline = asObject(inlineData)
  if (inline !== null)
    return [{ type: 'image_url', image_url: { url: `data:${String(inline.mimeType)};base64,${String(inline.data)}` } }]
  const file = asObject(fileData)
  return file === null ? [] : [{ type: 'image_url', image_url: { url: String(file.fileUri) } }]
}

function systemMessage(content: unknown): Json[] {
  const text = textOf(content)
  return text === '' ? [] : [{ role: 'system', content: text }]
}

function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  return objects(content)
    .flatMap(({ text }) => (typeof text === 'string' ? text : []))
    .join('\n')
}

/** A lone text as the string it is. */
function shortest(parts: Json[]): unknown {
  if (parts.length === 0) return null
  return parts.length === 1 && parts[0]?.type === 'text' ? parts[0].text : parts
}

function toolCall(id: string, name: unknown, input: unknown): Json {
  return { id, type: 'function', function: { name, arguments: JSON.stringify(input ?? {}) } }
}

function functionTools(tools: readonly Json[]): Json {
  if (tools.length === 0) return {}
  const functions = tools.map(({ name, description, parameters }) => ({
    type: 'function',
    function: stated({ name, description, parameters }),
  }))
  return { tools: functions }
}

function schemaFormat(schema: unknown): Json {
  if (asObject(schema) === null) return {}
  return { response_format: { type: 'json_schema', json_schema: { name: 'answer', schema } } }
}

function stated(members: Json): Json {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined && value !== null))
}

function objects(value: unknown): Json[] {
  return (Array.isArray(value) ? value : []).map(asObject).filter((element) => element !== null)
}
