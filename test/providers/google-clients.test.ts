/**
 * Real clients talk, through the provider, to a Gemini of generation 3 that checks what it is sent as the real one does: the signature
 * of each turn, a result for each call, the key in the header. Every turn is sent back as the client keeps it.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { AIMessageChunk, type BaseMessageLike, ToolMessage } from '@langchain/core/messages'
import { tool as langChainTool } from '@langchain/core/tools'
import { ChatOpenAI } from '@langchain/openai'
import { generateText, isStepCount, streamText, tool } from 'ai'
import OpenAI from 'openai'
import { zodResponseFormat } from 'openai/helpers/zod'
import { Agent, request as send } from 'undici'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { google } from '../../providers/google.ts'
import type { AnswerContext } from '../../providers/provider.ts'
import { parseRequest } from '../../src/chat/read-request.ts'
import { openAiShape } from '../../src/metering/usage.ts'
import { everyByte } from '../support/splits.ts'
import { type ReceivedRequest, type ScriptedUpstream, startUpstream } from '../support/upstream.ts'
import type { Answer } from '../support/upstream-answers.ts'

type Json = Record<string, unknown>
interface Content {
  role: string
  parts: Json[]
}

const MODEL = 'gemini-3-flash-preview'
/** As long as they are in life, of every letter base64 has. */
const SIGNATURES = ['Ab+/'.repeat(400), `${'x/Y+'.repeat(300)}QQ==`]
const TEXT = 'Oslo: rain 🌧, Lima: sun.'

let upstream: ScriptedUpstream
let proxy: Server
const agent = new Agent()

beforeAll(async () => {
  upstream = await startUpstream(gemini)
  proxy = createServer((incoming, outgoing) => {
    translate(incoming, outgoing).catch((error: Error) =>
      outgoing.writeHead(500).end(JSON.stringify({ error: { message: error.message } })),
    )
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
})

afterAll(async () => {
  await agent.destroy()
  proxy.close()
  proxy.closeAllConnections()
  await upstream.close()
})

beforeEach(() => {
  upstream.requests.length = 0
})

const baseURL = () => `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/v1`

/** What the product does with a provider, less the money. */
async function translate(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk as Buffer)
  const request = parseRequest(Buffer.concat(chunks))
  const refused = google.refuses(request.json, MODEL)
  if (refused.length > 0) throw new Error(refused.map(({ message }) => message).join(' '))
  const call = {
    request,
    model: MODEL,
    apiKey: 'AIzaKey',
    apiBase: upstream.url,
    organization: null,
    extraHeaders: {},
    defaults: {},
    outputCap: null,
    drop: [],
    askUsage: true,
  }
  const { origin, path, headers, body } = google.prepare(call)
  const answer = await send(`${origin}${path}`, { method: 'POST', headers, body, dispatcher: agent })
  const context: AnswerContext = {
    request,
    model: MODEL,
    choices: 1,
    callId: crypto.randomUUID(),
    created: 1_700_000_000,
  }
  if (answer.statusCode !== 200) {
    const { message } = google.readError(
      answer.statusCode,
      answer.headers,
      Buffer.from(await answer.body.arrayBuffer()),
    )
    outgoing.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify({ error: { message } }))
  } else if (request.stream) {
    const reader = google.readStream(context)
    outgoing.writeHead(200, { 'content-type': 'text/event-stream' })
    for await (const chunk of answer.body) outgoing.write(reader.push(chunk as Buffer).bytes ?? Buffer.alloc(0))
    outgoing.write(reader.end().bytes ?? Buffer.alloc(0))
    if (request.includeUsage) outgoing.write(reader.usageFrame('0.1', {}))
    outgoing.end('data: [DONE]\n\n')
  } else {
    const read = google.readAnswer(Buffer.from(await answer.body.arrayBuffer()), context)
    if (read === null || 'kind' in read) throw new Error('no answer')
    outgoing
      .writeHead(200, { 'content-type': 'application/json' })
      .end(read.body('0.1', openAiShape(read.reading.usage!)))
  }
}

/** Two rounds of calls, then text: what comes next is told by the results it was sent. */
function gemini(request: ReceivedRequest): Answer {
  const contents = (request.json?.contents ?? []) as Content[]
  const wrong = whatIsWrong(request, contents)
  if (wrong !== null) return json(400, { error: { code: 400, status: 'INVALID_ARGUMENT', message: wrong } })
  const rounds = contents.filter(({ parts }) => parts.some((part) => 'functionResponse' in part)).length
  const calls = (request.json?.tools === undefined ? [] : ROUNDS[rounds]) ?? []
  const parts: Json[] =
    calls.length > 0
      ? [{ text: `Round ${rounds}.`, thought: true }, ...calls]
      : [{ text: finalText(request) }, { text: '', thoughtSignature: 'AAAA' }]
  return request.path.includes('alt=sse')
    ? stream(parts)
    : json(200, { candidates: [{ content: { role: 'model', parts }, finishReason: 'STOP' }], ...TAIL })
}

const ROUNDS: readonly Json[][] = [
  [
    { functionCall: { name: 'weather', args: { city: 'Oslo' } }, thoughtSignature: SIGNATURES[0] },
    { functionCall: { name: 'weather', args: { city: 'Lima' } } },
  ],
  [{ functionCall: { name: 'now', args: {}, id: 'own-id' }, thoughtSignature: SIGNATURES[1] }],
]
const TAIL = {
  usageMetadata: { promptTokenCount: 50, candidatesTokenCount: 20, thoughtsTokenCount: 30, totalTokenCount: 100 },
  modelVersion: MODEL,
}

function finalText({ json: body }: ReceivedRequest): string {
  const config = body?.generationConfig as Json | undefined
  return config?.responseMimeType === 'application/json' ? '{"city":"Oslo","people":700000}' : TEXT
}

const json = (status: number, body: unknown): Answer => ({
  status,
  headers: { 'content-type': 'application/json' },
  frames: [JSON.stringify(body)],
})

function stream(parts: Json[]): Answer {
  const frames = parts.map((part, index) => {
    const last = index === parts.length - 1 ? { finishReason: 'STOP' } : {}
    return `data: ${JSON.stringify({ candidates: [{ content: { role: 'model', parts: [part] }, ...last }], ...TAIL })}\r\n\r\n`
  })
  return { headers: { 'content-type': 'text/event-stream' }, frames, split: everyByte }
}

/** What the real one refuses. */
function whatIsWrong({ headers, path }: ReceivedRequest, contents: Content[]): string | null {
  if (headers['x-goog-api-key'] !== 'AIzaKey' || path.includes('AIza')) return 'API key not valid.'
  let round = 0
  for (const [index, { role, parts }] of contents.entries()) {
    const calls = parts.filter((part) => 'functionCall' in part)
    if (role !== 'model' || calls.length === 0) continue
    if (calls[0]?.thoughtSignature !== SIGNATURES[round])
      return 'Function call is missing a thought_signature in functionCall parts.'
    if (calls.slice(1).some((part) => 'thoughtSignature' in part)) return 'Corrupted thought signature.'
    const results = contents[index + 1]?.parts ?? []
    const idsOf = (of: Json[], kind: string) => of.map((part) => (part[kind] as Json | undefined)?.id)
    const matches = JSON.stringify(idsOf(calls, 'functionCall')) === JSON.stringify(idsOf(results, 'functionResponse'))
    if (!matches)
      return 'Please ensure that the number of function response parts is equal to the number of function call parts.'
    round += 1
  }
  return null
}

/** All three calls and their results were in the last request. */
function expectWholeConversation(thoughts: number): void {
  expect(upstream.requests.length).toBe(3)
  const parts = (upstream.requests[2]!.json!.contents as Content[]).flatMap((content) => content.parts)
  const results = parts.flatMap((part) => (part.functionResponse as Json | undefined)?.response ?? [])
  expect(results).toEqual([{ result: 'rain in Oslo' }, { result: 'rain in Lima' }, { result: 'noon' }])
  expect(parts.filter((part) => part.thought === true).length).toBe(thoughts)
}

const PARAMETERS = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] }
const RUN: Readonly<Record<string, (args: { city?: string }) => string>> = {
  weather: ({ city }) => `rain in ${city}`,
  now: () => 'noon',
}
const TOOLS = [
  { type: 'function' as const, function: { name: 'weather', parameters: PARAMETERS } },
  { type: 'function' as const, function: { name: 'now', parameters: { type: 'object', properties: {} } } },
]
const TOWN = z.object({ city: z.string(), people: z.number() })

describe('openai for Node', () => {
  const client = () => new OpenAI({ apiKey: 'x', baseURL: baseURL(), maxRetries: 0 })
  const first = { role: 'user' as const, content: 'What is the weather?' }

  it.each([false, true])('a loop over tools, every message pushed as received (streamed: %s)', async (streams) => {
    const messages: OpenAI.ChatCompletionMessageParam[] = [first]
    for (let turn = 0; turn < 4; turn += 1) {
      const params = { model: 'm', messages, tools: TOOLS, reasoning_effort: 'low' as const }
      const completion = streams
        ? await client()
            .chat.completions.stream({ ...params, stream_options: { include_usage: true } })
            .finalChatCompletion()
        : await client().chat.completions.create(params)
      const message = completion.choices[0]!.message
      messages.push(message)
      expect(completion.usage).toMatchObject({ prompt_tokens: 50, completion_tokens: 50, total_tokens: 100 })
      if (message.tool_calls === undefined) break
      for (const call of message.tool_calls) {
        if (call.type !== 'function') throw new Error('not a function')
        messages.push({
          role: 'tool',
          tool_call_id: call.id,
          content: RUN[call.function.name]!(JSON.parse(call.function.arguments)),
        })
      }
    }
    expect(messages.at(-1)?.content).toBe(TEXT)
    expectWholeConversation(2)
  })

  it('the tool runner', async () => {
    const run = ({ name, parameters }: { name: string; parameters: Json }) => ({
      type: 'function' as const,
      function: { name, description: name, parameters, parse: JSON.parse, function: RUN[name]! },
    })
    const runner = client().chat.completions.runTools({
      model: 'm',
      messages: [first],
      tools: TOOLS.map(({ function: declared }) => run(declared)),
    })
    expect(await runner.finalContent()).toBe(TEXT)
    // It keeps of a message what OpenAI documents.
    expectWholeConversation(0)
  })

  it('parse', async () => {
    const completion = await client().chat.completions.parse({
      model: 'm',
      messages: [first],
      response_format: zodResponseFormat(TOWN, 'town'),
    })
    expect(completion.choices[0]?.message.parsed).toEqual({ city: 'Oslo', people: 700_000 })
  })
})

describe('the Vercel AI SDK', () => {
  const model = () =>
    createOpenAICompatible({ name: 'tollgate', baseURL: baseURL(), apiKey: 'x', includeUsage: true })('m')
  const tools = {
    weather: tool({ inputSchema: z.object({ city: z.string() }), execute: ({ city }) => `rain in ${city}` }),
    now: tool({ inputSchema: z.object({}), execute: () => 'noon' }),
  }

  it('generateText over three steps', async () => {
    const { text, steps } = await generateText({ model: model(), prompt: 'Weather?', tools, stopWhen: isStepCount(5) })
    expect([text, steps[0]?.reasoningText]).toEqual([TEXT, 'Round 0.'])
    expectWholeConversation(2)
  })

  it('streamText over three steps', async () => {
    const result = streamText({ model: model(), prompt: 'Weather?', tools, stopWhen: isStepCount(5) })
    expect(await result.text).toBe(TEXT)
    expectWholeConversation(2)
  })
})

describe('LangChain.js', () => {
  const tools = [
    langChainTool(({ city }: { city: string }) => `rain in ${city}`, {
      name: 'weather',
      description: 'w',
      schema: z.object({ city: z.string() }),
    }),
    langChainTool(() => 'noon', { name: 'now', description: 'n', schema: z.object({}) }),
  ]

  it.each([false, true])('a loop over tools (streamed: %s)', async (streams) => {
    const model = new ChatOpenAI({
      model: 'm',
      apiKey: 'x',
      configuration: { baseURL: baseURL() },
      maxRetries: 0,
    }).bindTools(tools)
    const messages: BaseMessageLike[] = [['user', 'Weather?']]
    let last: AIMessageChunk | null = null
    for (let turn = 0; turn < 4; turn += 1) {
      let message = new AIMessageChunk('')
      if (streams) for await (const chunk of await model.stream(messages)) message = message.concat(chunk)
      else message = await model.invoke(messages)
      last = message
      messages.push(message)
      if ((message.tool_calls ?? []).length === 0) break
      for (const call of message.tool_calls ?? []) {
        messages.push(
          new ToolMessage({ tool_call_id: call.id!, content: RUN[call.name]!(call.args as { city?: string }) }),
        )
      }
    }
    expect(last?.content).toBe(TEXT)
    const echoesThoughts = JSON.stringify(upstream.requests[2]?.json).includes('"thought":true')
    expectWholeConversation(echoesThoughts ? 2 : 0)
  })
})
