/** Text completions in OpenAI's dialect: the caller's bytes out, and the provider's back, as chat completions have them. */
import type { CompletionCall, CompletionsCapability } from './completions.ts'
import { asObject, parseJson } from './json.ts'
import { type Change, changeMembers, objectMembers } from './json-members.ts'
import { completionAdditionsOf, NEVER_SENT } from './known-members/additions.ts'
import { changedBody, isOwnHost, openAiRequest, prunedMembers } from './openai-body.ts'
import type { OpenAiFacts } from './openai-facts.ts'
import { readOpenAiResponse } from './openai-response.ts'
import { readOpenAiStream } from './openai-stream.ts'
import type { StreamReader, UpstreamRequest } from './provider.ts'
import { createSseFrames, dataFrame, parseFrame } from './sse-frames.ts'
import { LETTER_ESCAPE } from './text-bytes.ts'

export function openAiCompletions(dialect: OpenAiFacts): CompletionsCapability {
  const { own, foreign } = completionAdditionsOf(dialect.name)
  return {
    takes: (apiBase) => (isOwnHost(dialect, apiBase) ? own : foreign),
    prepare: (call) => prepareCompletion(dialect, call),
    readResponse: (body, asked) => readOpenAiResponse(dialect, onlyTexts(body) ?? body, asked),
    readStream: (choices, asked) => inItsForm(readOpenAiStream(dialect, choices, asked)),
  }
}

function prepareCompletion(dialect: OpenAiFacts, call: CompletionCall): UpstreamRequest {
  const { request, defaults, drop, outputCap } = call
  const out = new Set([...NEVER_SENT, ...drop])
  const changes: Change[] = [...out]
    .filter((key) => Object.hasOwn(request.json, key))
    .map((key) => ({ key, remove: true }))
  const model = dialect.sentAs?.(call.model) ?? call.model
  changes.push({ key: 'model', value: JSON.stringify(model) }, { key: 'max_tokens', value: String(outputCap) })
  for (const [key, value] of Object.entries(defaults))
    if (!Object.hasOwn(request.json, key) && !out.has(key) && key !== 'max_tokens')
      changes.push({ key, value: JSON.stringify(value) })
  if (request.stream && call.askUsage) changes.push({ key: 'stream_options', value: '{"include_usage":true}' })
  else if ('stream_options' in request.json) changes.push({ key: 'stream_options', remove: true })
  changes.push(...prunedMembers(call))
  for (const [key, value] of Object.entries(dialect.adds?.(call) ?? {})) changes.push({ key, value })
  const body = changedBody(request, changes)
  return openAiRequest(dialect, call, { path: '/completions', stream: request.stream, body })
}

const OF_CHATS = [Buffer.from('"delta"'), Buffer.from('"message"'), LETTER_ESCAPE]

/**
 * A choice says its text, or what a chat says. Of one that says both only the text is shown, so that what is counted is what its caller
 * reads. Null: nothing is to be changed.
 */
function onlyTexts(payload: Buffer): Buffer | null {
  if (!OF_CHATS.some((word) => payload.includes(word))) return null
  const choices = asObject(parseJson(payload))?.choices
  if (!Array.isArray(choices)) return null
  let isChanged = false
  const shown = choices.map((one: unknown) => {
    const { delta, message, ...rest } = asObject(one) ?? {}
    if (typeof rest.text !== 'string' || (delta === undefined && message === undefined)) return one
    isChanged = true
    return rest
  })
  if (!isChanged) return null
  return changeMembers(payload, objectMembers(payload), [{ key: 'choices', value: JSON.stringify(shown) }])
}

/** The frames made here that end a stream say that they are of a text. */
function inItsForm(reader: StreamReader): StreamReader {
  const scanner = createSseFrames((frame) => {
    if (!OF_CHATS.some((word) => frame.includes(word))) return true
    const shown = onlyTexts(Buffer.from(parseFrame(frame).data))
    return shown === null ? true : dataFrame(shown)
  })
  return Object.create(reader, {
    push: {
      value(chunk: Buffer) {
        const frames = scanner.push(chunk)
        return frames === null ? { bytes: null, done: false, error: null } : reader.push(frames)
      },
    },
    end: {
      value() {
        const frames = scanner.end()
        const before = frames === null ? null : reader.push(frames)
        const last = reader.end()
        if (before?.bytes == null) return last
        return { ...last, bytes: last.bytes === null ? before.bytes : Buffer.concat([before.bytes, last.bytes]) }
      },
    },
    stopFrames: { value: () => textFrames(reader.stopFrames()) },
    usageFrame: {
      value: (...shown: Parameters<StreamReader['usageFrame']>) => textFrames(reader.usageFrame(...shown)),
    },
  }) as StreamReader
}

function textFrames(frames: Buffer): Buffer {
  const scanner = createSseFrames((frame) => {
    const payload = Buffer.from(parseFrame(frame).data)
    const chunk = asObject(parseJson(payload))
    if (chunk === null || !Array.isArray(chunk.choices)) return true
    const choices = chunk.choices.map((choice: unknown) => {
      const { delta: _, ...rest } = asObject(choice) ?? {}
      return { text: '', ...rest }
    })
    const changes: Change[] = [{ key: 'object', value: '"text_completion"' }]
    if (choices.length > 0) changes.push({ key: 'choices', value: JSON.stringify(choices) })
    return dataFrame(changeMembers(payload, objectMembers(payload), changes))
  })
  return scanner.push(frames) ?? frames
}
