/**
 * A model that follows a script, whichever dialect it is asked in: with tools that run commands it does a task of so many turns, one
 * command a turn, then says that it is done; without them it says one sentence. What comes next follows from the results it is sent.
 */
import type { Json } from '../../support/response-answers.ts'
import type { ReceivedRequest } from '../../support/upstream.ts'
import { type Answer, errorAnswer, type Handler, jsonAnswer } from '../../support/upstream-answers.ts'
import { answerIn, type Call, type DialectName, dialectAt, type Said } from './dialect-answers.ts'

export const DONE = 'The task is done.'
export const HELLO = 'Hello from the scripted model.'
/** Written to by each command of a task, a line a turn. */
export const TASK_FILE = 'task.log'

/** @param turns how many commands are run before it is done. */
export function scriptedModel(turns = 0): Handler {
  return (request) => {
    const dialect = dialectAt(request.path)
    if (dialect === null) return errorAnswer(404, { message: `nothing at ${request.path}` })
    if (request.path.includes('count_tokens')) return jsonAnswer({ input_tokens: 1_000 })
    return answerIn(dialect, isStreamed(request), next(request.json ?? {}, dialect, turns))
  }
}

/** The same model, whose stream breaks off after the first words. */
export const brokenOff: Handler = (request) => {
  const dialect = dialectAt(request.path)
  if (dialect === null || !isStreamed(request)) return 'hangUp'
  const { frames, headers = {} } = answerIn(dialect, true, { text: HELLO, calls: [] })
  const shown = frames.findIndex((frame) => String(frame).includes(' from')) + 1
  const passed = frames.slice(0, Math.max(shown, 1))
  return { headers, frames, cutAfter: Buffer.byteLength(passed.join('')) }
}

/** An error in the words of the dialect that was asked. */
export function failing(status: number, message: string, headers: Record<string, string> = {}): Handler {
  return ({ path }): Answer => {
    const dialect = dialectAt(path)
    const [type, googles] = KINDS[status] ?? ['api_error', 'INTERNAL']
    if (dialect === 'messages')
      return jsonAnswer({ type: 'error', error: { type, message }, request_id: 'req_1' }, { status, headers })
    if (dialect === 'gemini')
      return jsonAnswer({ error: { code: status, message, status: googles } }, { status, headers })
    return errorAnswer(status, { message, type }, { headers })
  }
}

const KINDS: Readonly<Record<number, readonly [type: string, google: string]>> = {
  401: ['authentication_error', 'UNAUTHENTICATED'],
  402: ['billing_error', 'INTERNAL'],
  429: ['rate_limit_error', 'RESOURCE_EXHAUSTED'],
  503: ['overloaded_error', 'UNAVAILABLE'],
}

function isStreamed({ path, json }: ReceivedRequest): boolean {
  return json?.stream === true || path.includes('streamGenerateContent')
}

function next(json: Json, dialect: DialectName, turns: number): Said {
  const tool = toolsOf(json, dialect).find(({ name }) => COMMAND_TOOLS.has(name))
  if (tool === undefined || turns === 0) return { text: HELLO, calls: [] }
  const done = resultsIn(json, dialect)
  if (done >= turns) return { text: DONE, calls: [] }
  return { text: `Step ${done + 1}.`, calls: [commandCall(tool, done + 1)] }
}

interface Tool {
  name: string
  parameters: Json
}

/** What agents call the tool that runs a command. */
const COMMAND_TOOLS: ReadonlySet<string> = new Set(['Bash', 'bash', 'shell', 'exec_command', 'shell_command', 'run'])

function commandCall({ name, parameters }: Tool, step: number): Call {
  const command = `echo step ${step} >> ${TASK_FILE}`
  const known = (parameters.properties ?? {}) as Readonly<Partial<Record<string, Json>>>
  const isList = known.command?.type === 'array'
  const args: Json = {}
  args[known.cmd === undefined ? 'command' : 'cmd'] = isList ? ['bash', '-c', command] : command
  if (known.description !== undefined) args.description = `Writes step ${step}`
  return { id: `call_${step}`, name, args }
}

function toolsOf(json: Json, dialect: DialectName): Tool[] {
  const tools = Array.isArray(json.tools) ? (json.tools as Json[]) : []
  return tools.flatMap((tool): Tool[] => {
    if (dialect === 'gemini')
      return ((tool.functionDeclarations ?? []) as Json[]).map((declared) => ({
        name: String(declared.name),
        parameters: (declared.parametersJsonSchema ?? declared.parameters ?? {}) as Json,
      }))
    const { name, parameters, input_schema } = (dialect === 'chat' ? (tool.function ?? {}) : tool) as Json
    return [{ name: String(name), parameters: (parameters ?? input_schema ?? {}) as Json }]
  })
}

const RESULTS: Readonly<Partial<Record<DialectName, RegExp>>> = {
  chat: /"role":"tool"/g,
  responses: /"type":"(?:function|custom_tool)_call_output"/g,
  messages: /"type":"tool_result"/g,
  gemini: /"functionResponse":/g,
}

function resultsIn(json: Json, dialect: DialectName): number {
  const pattern = RESULTS[dialect]
  const said = JSON.stringify(json.messages ?? json.input ?? json.contents ?? [])
  return pattern === undefined ? 0 : (said.match(pattern)?.length ?? 0)
}
