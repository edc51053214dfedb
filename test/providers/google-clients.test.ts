/**
 * Real clients talk, through the product, to a Gemini of generation 3 that checks what it is sent as the real one does: the signature
 * of each turn, a result for each call, the key in the header. Every turn is sent back as the client keeps it, and every
 * call is in the books at its price.
 */
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { AIMessageChunk, type BaseMessageLike, ToolMessage } from '@langchain/core/messages'
import { tool as langChainTool } from '@langchain/core/tools'
import { ChatOpenAI } from '@langchain/openai'
import { generateText, isStepCount, streamText, tool } from 'ai'
import OpenAI from 'openai'
import { zodResponseFormat } from 'openai/helpers/zod'
import { beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { everyByte } from '../support/splits.ts'
import { UPSTREAM_KEY } from '../support/tollgate.ts'
import type { ReceivedRequest } from '../support/upstream.ts'
import type { Answer } from '../support/upstream-answers.ts'
import { type Payer, useTranslated } from './translated-product.ts'

type Json = Record<string, unknown>
interface Content {
  role: string
  parts: Json[]
}

const MODEL = 'gemini-3-flash-preview'
/** As long as they are in life, of every letter base64 has. */
const SIGNATURES = ['Ab+/'.repeat(400), `${'x/Y+'.repeat(300)}QQ==`]
const TEXT = 'Oslo: rain 🌧, Lima: sun.'

// 50 tokens at $0.50 a million and 50 at $3, and half of it on top.
const USED = { prompt: 50, completion: 50, cached: 0, reasoning: 30 }
const CHARGE = { credits: '0.262500', dollars: 0.0002625 }
const product = useTranslated('gemini', MODEL, { charge: CHARGE.credits, ...USED })

let payer: Payer
beforeEach(async () => {
  payer = await product.payer(gemini)
})

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
  if (headers['x-goog-api-key'] !== UPSTREAM_KEY || path.includes(UPSTREAM_KEY)) return 'API key not valid.'
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

/** All three calls and their results were in the last request, and the books hold the three of them. */
async function expectWholeConversation(thoughts: number): Promise<void> {
  const { requests } = product.upstream
  expect(requests.length).toBe(3)
  const parts = (requests[2]!.json!.contents as Content[]).flatMap((content) => content.parts)
  const results = parts.flatMap((part) => (part.functionResponse as Json | undefined)?.response ?? [])
  expect(results).toEqual([{ result: 'rain in Oslo' }, { result: 'rain in Lima' }, { result: 'noon' }])
  expect(parts.filter((part) => part.thought === true).length).toBe(thoughts)
  await product.expectBooked(payer, 3)
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
  const client = () => new OpenAI({ apiKey: payer.apiKey, baseURL: payer.baseURL, maxRetries: 0 })
  const first = { role: 'user' as const, content: 'What is the weather?' }

  it.each([false, true])(
    "OpenAI's client for Node loops over tools, every message pushed as received (streamed: %s).",
    async (streams) => {
      const messages: OpenAI.ChatCompletionMessageParam[] = [first]
      for (let turn = 0; turn < 4; turn += 1) {
        const params = { model: MODEL, messages, tools: TOOLS, reasoning_effort: 'low' as const }
        const completion = streams
          ? await client()
              .chat.completions.stream({ ...params, stream_options: { include_usage: true } })
              .finalChatCompletion()
          : await client().chat.completions.create(params)
        const message = completion.choices[0]!.message
        messages.push(message)
        expect(completion.usage).toMatchObject({
          prompt_tokens: 50,
          completion_tokens: 50,
          total_tokens: 100,
          cost: CHARGE.dollars,
        })
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
      await expectWholeConversation(2)
    },
  )

  it("The tool runner of OpenAI's client for Node works.", async () => {
    const run = ({ name, parameters }: { name: string; parameters: Json }) => ({
      type: 'function' as const,
      function: { name, description: name, parameters, parse: JSON.parse, function: RUN[name]! },
    })
    const runner = client().chat.completions.runTools({
      model: MODEL,
      messages: [first],
      tools: TOOLS.map(({ function: declared }) => run(declared)),
    })
    expect(await runner.finalContent()).toBe(TEXT)
    // It keeps of a message what OpenAI documents.
    await expectWholeConversation(0)
  })

  it("parse of OpenAI's client for Node works.", async () => {
    const completion = await client().chat.completions.parse({
      model: MODEL,
      messages: [first],
      response_format: zodResponseFormat(TOWN, 'town'),
    })
    expect(completion.choices[0]?.message.parsed).toEqual({ city: 'Oslo', people: 700_000 })
    await product.expectBooked(payer, 1)
  })
})

describe('the Vercel AI SDK', () => {
  const model = () =>
    createOpenAICompatible({ name: 'tollgate', baseURL: payer.baseURL, apiKey: payer.apiKey, includeUsage: true })(
      MODEL,
    )
  const tools = {
    weather: tool({ inputSchema: z.object({ city: z.string() }), execute: ({ city }) => `rain in ${city}` }),
    now: tool({ inputSchema: z.object({}), execute: () => 'noon' }),
  }

  it('generateText of the Vercel AI SDK works over three steps.', async () => {
    const { text, steps } = await generateText({ model: model(), prompt: 'Weather?', tools, stopWhen: isStepCount(5) })
    expect([text, steps[0]?.reasoningText]).toEqual([TEXT, 'Round 0.'])
    await expectWholeConversation(2)
  })

  it('streamText of the Vercel AI SDK works over three steps.', async () => {
    const result = streamText({ model: model(), prompt: 'Weather?', tools, stopWhen: isStepCount(5) })
    expect(await result.text).toBe(TEXT)
    await expectWholeConversation(2)
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

  it.each([false, true])('LangChain.js loops over tools (streamed: %s).', async (streams) => {
    const model = new ChatOpenAI({
      model: MODEL,
      apiKey: payer.apiKey,
      configuration: { baseURL: payer.baseURL },
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
    const echoesThoughts = JSON.stringify(product.upstream.requests[2]?.json).includes('"thought":true')
    await expectWholeConversation(echoesThoughts ? 2 : 0)
  })
})
