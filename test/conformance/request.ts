/** The request a recording is played with: the recorded one, a likely one where none was recorded. */
import { dialectOf, modelOf } from './dialects.ts'
import { fromAnthropic, fromGemini, type Translated } from './native-request.ts'
import type { Recording } from './recording.ts'

/** In OpenAI's words, under the provider's own name of the model. */
export function chatRequest(recording: Recording): Translated {
  const { speaksOpenAi, provider } = dialectOf(recording.provider)
  const model = modelOf(recording)
  const recorded = recording.request === null ? null : inFullLength(recording.request)
  const translated =
    recorded === null || speaksOpenAi
      ? { request: recorded ?? {}, serverTools: [] }
      : provider === 'anthropic'
        ? fromAnthropic(recorded)
        : fromGemini(recorded)
  const { stream: _, stream_options: __, ...request } = translated.request
  const messages: unknown[] = Array.isArray(request.messages) ? request.messages : []
  // Input that no recorded request explains has to stand in the one that is sent: what nothing explains is not believed.
  const isExplained = messages.length > 0 && !translated.serverTools.includes('cachedContent')
  const explained = isExplained ? messages : [...messages, standIn(recording)]
  const own = recorded === null || speaksOpenAi ? [] : serverToolsOf(recorded)
  const tools = own.length === 0 ? {} : { tools: [...(Array.isArray(request.tools) ? request.tools : []), ...own] }
  return { request: { ...request, ...tools, model, messages: explained }, serverTools: translated.serverTools }
}

/** Tools the provider runs itself go out in its own words. */
function serverToolsOf({ tools }: Record<string, unknown>): unknown[] {
  const isOwn = (tool: object) =>
    !('functionDeclarations' in tool) && (!('type' in tool) || (tool.type !== undefined && tool.type !== 'custom'))
  return (Array.isArray(tools) ? tools : []).filter((tool) => isOwn(tool) && !('input_schema' in tool))
}

/** As many bytes as tokens were billed. */
function standIn({ oracle }: Recording): Record<string, unknown> {
  return { role: 'user', content: 'Hello'.padEnd(oracle?.usage?.input_tokens ?? 0, ' hello') }
}

/** What the collector cut out is as long again as it was, so that what it cost is no surprise. */
function inFullLength(request: Record<string, unknown>): Record<string, unknown> {
  const text = JSON.stringify(request)
  const filled = text.replace(/\.\.\.\[TRUNCATED (\d+) chars by collector\]/g, (_, length) =>
    'A'.repeat(Number(length)),
  )
  return filled === text ? request : JSON.parse(filled)
}

/** What the caller sends: the model under the name of the folder's deployment. */
export function sentRequest(recording: Recording, includeUsage: boolean): Record<string, unknown> {
  const { request } = chatRequest(recording)
  const streamed = includeUsage ? { stream: true, stream_options: { include_usage: true } } : { stream: true }
  return { ...request, model: `${recording.provider}/${modelOf(recording)}`, ...(recording.stream ? streamed : {}) }
}
