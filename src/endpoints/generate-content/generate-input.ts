/**
 * The input of a request in Gemini's dialect: one walk over it, for the estimate of the hold and for the count where no usage was stated.
 * Everything counts except what is known not to become input.
 */
import { listOf } from '../../../providers/google/passed/passed-tools.ts'
import { asObject } from '../../../providers/json.ts'
import type { InputVisitor } from '../../metering/request-input.ts'
import { mediaPart } from './media-part.ts'

type Json = Readonly<Record<string, unknown>>

/** The framing of chat completions. Where Google bills less, its models' facts say so. */
const CONTENT_FRAME = 3
const PRIMING = 3
const TOOL_FRAME = 8
/** Tokens of the computer-use functions that Google itself declares. */
const COMPUTER = 4_000

/** Members that no model reads: they tell the provider how to answer, whom to bill or what to remember. */
const NEVER_INPUT: ReadonlySet<string> = new Set([
  ...['model', 'safetySettings', 'serviceTier', 'labels', 'store', 'cachedContent'],
  ...['power_level', 'task_type', 'privacy_required'],
])
/** Members of `generationConfig` that a model reads. */
const SCHEMAS: ReadonlySet<string> = new Set([
  'responseSchema',
  'responseJsonSchema',
  '_responseJsonSchema',
  'responseFormat',
])
/** Other members with a known meaning, which no model reads. */
const SETTINGS =
  /^(?:temperature|top[PK]|candidateCount|maxOutputTokens|stopSequences|seed|\w+Penalty|responseLogprobs|logprobs|responseModalities|mediaResolution|responseMimeType|thinkingConfig|audioTimestamp|imageConfig|speechConfig)$/

export function visitGenerateInput(request: Json, visitor: InputVisitor): void {
  visitor.framing(PRIMING, false)
  const config = asObject(request.generationConfig) ?? {}
  const isSharper = /HIGH/i.test(String(config.mediaResolution ?? ''))
  for (const [name, value] of Object.entries(request)) {
    if (value === null || value === undefined || NEVER_INPUT.has(name)) continue
    if (name === 'contents')
      for (const [index, content] of listOf(value).entries())
        visitContent(content, `contents[${index}]`, isSharper, visitor)
    else if (name === 'systemInstruction') visitContent(value, name, isSharper, visitor)
    else if (name === 'tools') visitTools(listOf(value), visitor)
    else if (name === 'generationConfig') visitConfig(config, visitor)
    else if (typeof value === 'string') visitor.text(value, false)
    else if (typeof value === 'object') visitor.json(value, false)
  }
}

function visitConfig(config: Json, visitor: InputVisitor): void {
  for (const [name, value] of Object.entries(config)) {
    if (value === null || SETTINGS.test(name)) continue
    if (typeof value === 'string') visitor.text(value, false)
    else if (typeof value === 'object') visitor.json(value, SCHEMAS.has(name))
  }
}

function visitTools(tools: readonly unknown[], visitor: InputVisitor): void {
  const declared = tools.flatMap((tool) => listOf(asObject(tool)?.functionDeclarations))
  visitor.framing(TOOL_FRAME * (Math.max(declared.length, tools.length) + 1), false)
  for (const tool of tools) {
    if ((asObject(tool)?.computerUse ?? null) !== null) visitor.framing(COMPUTER, false)
    visitor.json(tool, true)
  }
}

function visitContent(value: unknown, path: string, isSharper: boolean, visitor: InputVisitor): void {
  visitor.framing(CONTENT_FRAME, false)
  const content = asObject(value)
  if (content === null) {
    visitor.json(value, true)
    return
  }
  for (const [name, member] of Object.entries(content)) {
    if (member === null || member === undefined) continue
    if (name === 'role' && typeof member === 'string' && member.length < 16) visitor.role(member)
    else if (name === 'parts')
      for (const [index, part] of listOf(member).entries())
        visitPart(part, `${path}.parts[${index}]`, isSharper, visitor)
    else visitor.json(member, false)
  }
}

/** Media are described by their place, or by their size. */
const NOT_TEXT: ReadonlySet<string> = new Set(['thought', 'videoMetadata', 'mediaResolution'])

function visitPart(value: unknown, path: string, isSharper: boolean, visitor: InputVisitor): void {
  const part = asObject(value)
  if (part === null) {
    visitor.json(value, true)
    return
  }
  for (const [name, member] of Object.entries(part)) {
    if (member === null || member === undefined || NOT_TEXT.has(name)) continue
    if (name === 'text' && typeof member === 'string') visitor.text(member, true)
    else if (name === 'inlineData' || name === 'fileData')
      visitMedia(part, { [name]: member }, `${path}.${name}`, isSharper, visitor)
    else if (name === 'functionResponse') visitResult(asObject(member) ?? {}, path, isSharper, visitor)
    else if (typeof member === 'string') visitor.text(member, false)
    else {
      if (name === 'functionCall') visitor.framing(TOOL_FRAME, false)
      visitor.json(member, name === 'functionCall')
    }
  }
}

function visitResult(result: Json, path: string, isSharper: boolean, visitor: InputVisitor): void {
  const { parts, ...said } = result
  visitor.framing(TOOL_FRAME, false)
  visitor.json(said, true)
  for (const [index, part] of listOf(parts).entries())
    visitPart(part, `${path}.functionResponse.parts[${index}]`, isSharper, visitor)
}

/** The rules for sizes hold at the usual resolution. We have no bound for finer resolutions and for more frames a second. */
function visitMedia(part: Json, holder: Json, path: string, isSharper: boolean, visitor: InputVisitor): void {
  const medium = mediaPart(holder)
  const fps = asObject(part.videoMetadata)?.fps ?? null
  const isFiner = isSharper || (part.mediaResolution ?? null) !== null || fps !== null
  if (medium !== null) visitor.media(medium, path)
  if (medium === null || isFiner) visitor.unbounded(path)
}
