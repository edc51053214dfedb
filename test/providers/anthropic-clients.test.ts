/**
 * Real clients with the product between them and a provider that is as strict about thoughts as Claude: a conversation of three
 * turns with tools and thinking, every turn sent back as the client received it, every call in the books at its price.
 */
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { AIMessageChunk, type BaseMessageLike } from '@langchain/core/messages'
import { tool as langchainTool } from '@langchain/core/tools'
import { ChatOpenAI } from '@langchain/openai'
import { generateText, isStepCount, streamText, tool } from 'ai'
import OpenAI from 'openai'
import { zodResponseFormat } from 'openai/helpers/zod'
import { beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { claude, type Json, MODEL, USAGE } from './anthropic-claude.ts'
import { type Payer, useTranslated } from './translated-product.ts'

// 100 tokens at $3 a million, 20 from the cache at $0.30, 30 at $15, and half of it on top.
const CHARGE = { credits: '1.134000', dollars: 0.001134 }
const USED = { prompt: 120, completion: 30, cached: 20, reasoning: 0 }
const product = useTranslated('anthropic', MODEL, { charge: CHARGE.credits, ...USED })

let payer: Payer
beforeEach(async () => {
  payer = await product.payer(claude)
})

const QUESTION = 'How is the weather, and what time is it?'
const weatherOf = (city: string) => (city === 'Rome' ? 'sun' : `rain in ${city}`)
const THOUGHT = 'Both towns, and the time.'

/** Claude saw three requests, with thinking in each, and the results in the order of the calls; the books hold the three. */
async function expectThreeTurns(): Promise<void> {
  const { requests } = product.upstream
  expect(requests).toHaveLength(3)
  for (const { json } of requests) expect(json?.thinking).toEqual({ type: 'enabled', budget_tokens: 4_096 })
  const last = (requests[2]?.json?.messages ?? []) as { content: Json[] }[]
  const results = last.flatMap(({ content }) => content).filter(({ type }) => type === 'tool_result')
  expect(results.map(({ content }) => JSON.stringify(content))).toEqual([
    expect.stringContaining('rain in Oslo'),
    expect.stringContaining('rain in Lima'),
    expect.stringContaining('noon'),
    expect.stringContaining('sun'),
  ])
  await product.expectBooked(payer, 3)
}

describe("OpenAI's client", () => {
  const client = () => new OpenAI({ baseURL: payer.baseURL, apiKey: payer.apiKey, maxRetries: 0 })
  const city = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] }
  const tools: OpenAI.ChatCompletionFunctionTool[] = [
    { type: 'function', function: { name: 'weather', description: 'The weather', parameters: city } },
    { type: 'function', function: { name: 'now' } },
  ]
  const runnable = [
    {
      type: 'function' as const,
      function: {
        name: 'weather',
        description: 'The weather',
        parameters: city,
        parse: JSON.parse,
        function: ({ city: name }: { city: string }) => weatherOf(name),
      },
    },
    {
      type: 'function' as const,
      function: {
        name: 'now',
        description: 'The time',
        parameters: { type: 'object', properties: {} },
        function: () => 'noon',
      },
    },
  ]
  const body = (messages: OpenAI.ChatCompletionMessageParam[]) => ({
    model: MODEL,
    messages,
    tools,
    reasoning_effort: 'medium' as const,
    stream_options: { include_usage: true },
  })

  test.each([false, true])("OpenAI's client works with messages pushed by hand, streaming %s.", async (stream) => {
    const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: 'user', content: QUESTION }]
    for (let turn = 0; turn < 3; turn += 1) {
      const completion = stream
        ? await client().chat.completions.stream(body(messages)).finalChatCompletion()
        : await client().chat.completions.create({ ...body(messages), stream_options: null })
      const [choice] = completion.choices
      messages.push(choice!.message)
      expect(completion.usage).toMatchObject({ prompt_tokens: 120, completion_tokens: 30, cost: CHARGE.dollars })
      expect(choice?.finish_reason).toBe(turn < 2 ? 'tool_calls' : 'stop')
      for (const call of choice?.message.tool_calls ?? []) {
        if (call.type !== 'function') continue
        const { city: name } = JSON.parse(call.function.arguments) as { city?: string }
        messages.push({ role: 'tool', tool_call_id: call.id, content: name === undefined ? 'noon' : weatherOf(name) })
      }
    }
    expect(messages.at(-1)?.content).toBe('Rain, but for Rome.')
    await expectThreeTurns()
  })

  test("OpenAI's client works with its tool runner.", async () => {
    const runner = client().chat.completions.runTools({
      model: MODEL,
      messages: [{ role: 'user', content: QUESTION }],
      tools: runnable as never,
      reasoning_effort: 'medium',
    })
    expect(await runner.finalContent()).toBe('Rain, but for Rome.')
    await expectThreeTurns()
  })

  test("OpenAI's client works with its tool runner, streaming.", async () => {
    const runner = client().chat.completions.runTools({
      model: MODEL,
      messages: [{ role: 'user', content: QUESTION }],
      tools: runnable as never,
      reasoning_effort: 'medium',
      stream: true,
    })
    expect(await runner.finalContent()).toBe('Rain, but for Rome.')
    await expectThreeTurns()
  })

  test("OpenAI's client parses a response in a form.", async () => {
    const content = [{ type: 'text', text: '{"age":3}' }]
    const said = { type: 'message', model: MODEL, content, stop_reason: 'end_turn', usage: USAGE }
    product.upstream.respond({ headers: { 'content-type': 'application/json' }, frames: [JSON.stringify(said)] })
    const completion = await client().chat.completions.parse({
      model: MODEL,
      messages: [{ role: 'user', content: 'Age?' }],
      response_format: zodResponseFormat(z.object({ age: z.number() }), 'person'),
    })
    expect(completion.choices[0]?.message.parsed).toEqual({ age: 3 })
    expect(product.upstream.requests[0]?.json?.output_config).toMatchObject({
      format: { schema: { additionalProperties: false } },
    })
    await product.expectBooked(payer, 1)
  })
})

describe('Vercel AI SDK', () => {
  const model = () =>
    createOpenAICompatible({ name: 'tollgate', baseURL: payer.baseURL, apiKey: payer.apiKey, includeUsage: true })(
      MODEL,
    )
  const options = () => ({
    model: model(),
    prompt: QUESTION,
    maxRetries: 0,
    stopWhen: isStepCount(5),
    providerOptions: { tollgate: { reasoningEffort: 'medium' } },
    tools: {
      weather: tool({
        inputSchema: z.object({ city: z.string() }),
        execute: ({ city }) => weatherOf(city),
      }),
      now: tool({ inputSchema: z.object({}), execute: () => 'noon' }),
    },
  })

  test('generateText of the Vercel AI SDK works.', async () => {
    const { text, steps } = await generateText(options())
    expect(text).toBe('Rain, but for Rome.')
    expect(steps[0]?.reasoningText).toBe(THOUGHT)
    await expectThreeTurns()
  })

  test('streamText of the Vercel AI SDK works.', async () => {
    const result = streamText(options())
    expect(await result.text).toBe('Rain, but for Rome.')
    expect((await result.steps)[0]?.reasoningText).toBe(THOUGHT)
    await expectThreeTurns()
  })
})

describe('LangChain', () => {
  const weather = langchainTool(({ city }: { city: string }) => weatherOf(city), {
    name: 'weather',
    description: 'The weather',
    schema: z.object({ city: z.string() }),
  })
  const now = langchainTool(() => 'noon', { name: 'now', description: 'The time', schema: z.object({}) })
  const model = () =>
    new ChatOpenAI({
      model: MODEL,
      apiKey: payer.apiKey,
      configuration: { baseURL: payer.baseURL },
      maxRetries: 0,
      modelKwargs: { reasoning_effort: 'medium' },
    }).bindTools([weather, now])

  test.each([false, true])('bindTools of LangChain works, streaming %s.', async (stream) => {
    const messages: BaseMessageLike[] = [{ role: 'user', content: QUESTION }]
    for (let turn = 0; turn < 3; turn += 1) {
      let answer = new AIMessageChunk('')
      if (stream) for await (const chunk of await model().stream(messages)) answer = answer.concat(chunk)
      const said = stream ? answer : await model().invoke(messages)
      messages.push(said)
      const calls = said.tool_calls ?? []
      for (const call of calls)
        messages.push(await (call.name === 'now' ? now.invoke(call) : weather.invoke(call as never)))
      if (calls.length === 0) expect(said.content).toBe('Rain, but for Rome.')
    }
    await expectThreeTurns()
  })
})
