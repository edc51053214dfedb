/** The clients for Node, in this process: those that package.json pins. */
import { deepEqual } from 'node:assert/strict'
import { createAnthropic } from '@ai-sdk/anthropic'
import { createOpenAI } from '@ai-sdk/openai'
import Anthropic from '@anthropic-ai/sdk'
import { generateText, isStepCount, type LanguageModel, streamText, tool } from 'ai'
import OpenAI from 'openai'
import { z } from 'zod'
import { EMBEDDING_CHARGE, MODELS, type Stand } from './lane.ts'
import { type Ask, type Library, scenesOf } from './libraries.ts'
import { type Outcome, secondsSince, shownIn } from './run-client.ts'
import { expectBooked, type Scene } from './scene.ts'
import { HELLO } from './scripted-model.ts'

type Work = (ask: Ask & { url: string }) => Promise<string>

const TASK = 'Do the task with your tool.'
const COMMAND = { type: 'object' as const, properties: { command: { type: 'string' } } }
const MOST_TURNS = 10
const hello = [{ role: 'user' as const, content: 'Hello' }]

/** As a process would end: what was thrown is what is read. */
async function played(work: Promise<string>): Promise<Outcome> {
  const begun = performance.now()
  const [code, output] = await work.then(
    (text) => [0, text] as const,
    (error: Error) => [1, `${error.name}: ${error.message}`] as const,
  )
  const shownAt = shownIn([{ at: performance.now(), output }])
  return { code, output, seconds: secondsSince(begun), shownAt }
}

function library(works: Readonly<Record<string, Work>>, rest: Omit<Library, 'run' | 'failsAt' | 'isQuick'>): Library {
  return {
    ...rest,
    isQuick: true,
    failsAt: { whole: 'plain', stream: 'stream' },
    run: (what, ask, { url }: Stand) => played((works[what] as Work)({ ...ask, url })),
  }
}

const openai = ({ url, key }: { url: string; key: string }) => new OpenAI({ baseURL: `${url}/v1`, apiKey: key })

const ofOpenAi = {
  async plain(ask) {
    const { choices } = await openai(ask).chat.completions.create({ model: ask.model, messages: hello })
    return choices[0]?.message.content ?? ''
  },
  async stream(ask) {
    let text = ''
    const chunks = await openai(ask).chat.completions.create({ model: ask.model, messages: hello, stream: true })
    for await (const { choices } of chunks) text += choices[0]?.delta.content ?? ''
    return text
  },
  async responses(ask) {
    const client = openai(ask)
    const input: OpenAI.Responses.ResponseInput = [{ role: 'user', content: TASK }]
    const tools = [{ type: 'function' as const, name: 'run', parameters: COMMAND, strict: false }]
    for (let turn = 0; turn < MOST_TURNS; turn += 1) {
      const response = await client.responses.stream({ model: ask.model, input, tools, store: false }).finalResponse()
      const calls = response.output.flatMap((item) => (item.type === 'function_call' ? [item] : []))
      if (calls.length === 0) return response.output_text
      input.push(...(response.output as OpenAI.Responses.ResponseInput))
      input.push(...calls.map(({ call_id }) => ({ type: 'function_call_output' as const, call_id, output: 'done' })))
    }
    return 'no end'
  },
  async embeddings(ask) {
    const { data } = await openai(ask).embeddings.create({ model: ask.model, input: ['Hello'] })
    return JSON.stringify(data[0]?.embedding)
  },
  async completions(ask) {
    const { choices } = await openai(ask).completions.create({ model: ask.model, prompt: 'Hello' })
    return choices[0]?.text ?? ''
  },
} satisfies Readonly<Record<string, Work>>

const anthropic = ({ url, key }: { url: string; key: string }) => new Anthropic({ baseURL: url, apiKey: key })
const textOf = (content: readonly Anthropic.ContentBlock[]) =>
  content.map((block) => (block.type === 'text' ? block.text : '')).join('')

const ofAnthropic: Readonly<Record<string, Work>> = {
  async plain(ask) {
    const asked = { model: ask.model, max_tokens: 500, messages: hello }
    return textOf((await anthropic(ask).messages.create(asked)).content)
  },
  async stream(ask) {
    const asked = { model: ask.model, max_tokens: 500, messages: hello }
    return textOf((await anthropic(ask).messages.stream(asked).finalMessage()).content)
  },
  async tools(ask) {
    const client = anthropic(ask)
    const messages: Anthropic.MessageParam[] = [{ role: 'user', content: TASK }]
    const tools = [{ name: 'run', description: 'Runs a command', input_schema: COMMAND }]
    for (let turn = 0; turn < MOST_TURNS; turn += 1) {
      const { content } = await client.messages.create({ model: ask.model, max_tokens: 500, messages, tools })
      const calls = content.flatMap((block) => (block.type === 'tool_use' ? [block] : []))
      if (calls.length === 0) return textOf(content)
      messages.push({ role: 'assistant', content })
      const results = calls.map(({ id }) => ({ type: 'tool_result' as const, tool_use_id: id, content: 'done' }))
      messages.push({ role: 'user', content: results })
    }
    return 'no end'
  },
}

function ofAiSdk(modelFor: (ask: Ask & { url: string }) => LanguageModel): Readonly<Record<string, Work>> {
  const run = tool({
    description: 'Runs a command',
    inputSchema: z.object({ command: z.string() }),
    execute: ({ command }) => `done: ${command}`,
  })
  return {
    plain: async (ask) => (await generateText({ model: modelFor(ask), prompt: 'Hello' })).text,
    async stream(ask) {
      let failure: unknown = null
      const result = streamText({
        model: modelFor(ask),
        prompt: 'Hello',
        onError({ error }) {
          failure = error
        },
      })
      let text = ''
      for await (const part of result.textStream) text += part
      if (failure !== null) throw failure instanceof Error ? failure : new Error(JSON.stringify(failure))
      return text
    },
    async tools(ask) {
      const asked = { model: modelFor(ask), prompt: TASK, tools: { run }, stopWhen: isStepCount(MOST_TURNS) }
      return streamText(asked).text
    },
  }
}

const LIBRARIES: readonly Library[] = [
  library(ofOpenAi, {
    client: 'openai for Node',
    model: 'gpt',
    once: {
      plain: {},
      stream: {},
      embeddings: { model: 'embedding', gives: /^\[0\.5,0\.25\]$/m, charge: EMBEDDING_CHARGE },
      completions: { model: 'local' },
    },
    tasks: { responses: 'gemini' },
  }),
  library(ofAnthropic, {
    client: 'Anthropic for Node',
    model: 'claude',
    once: { plain: {}, stream: {} },
    tasks: { tools: 'groq' },
  }),
  library(
    ofAiSdk(({ url, key, model }) => createOpenAI({ baseURL: `${url}/v1`, apiKey: key })(model)),
    { client: 'AI SDK: openai()', model: 'gpt', once: { plain: {}, stream: {} }, tasks: { tools: 'gpt' } },
  ),
  library(
    ofAiSdk(({ url, key, model }) => createAnthropic({ baseURL: `${url}/v1`, apiKey: key })(model)),
    { client: 'AI SDK: anthropic()', model: 'claude', once: { plain: {}, stream: {} }, tasks: { tools: 'claude' } },
  ),
]

/** 4 096 tokens out are held for: 61.44 credits, and a little for the input. */
const atOnce: Scene = {
  client: 'openai for Node',
  title: 'two streams at once on credits for one and a half both end well',
  quick: true,
  async play(stand) {
    const key = await stand.keyWith('92')
    const ask = { url: stand.url, key, model: MODELS.local }
    const [first, second] = await Promise.all([ofOpenAi.stream(ask), ofOpenAi.stream(ask)])
    deepEqual([first, second], [HELLO, HELLO])
    await expectBooked(stand, { answered: 2 })
  },
}

export const nodeClients: Scene[] = [atOnce, ...LIBRARIES.flatMap(scenesOf)]
