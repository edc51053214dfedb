/**
 * No work grows faster than what was sent: twice the bytes take twice the steps, for every hostile shape there is, in every dialect.
 * What V8 does inside (a pattern, a copy) is not counted here: `npm run bench -- hostile` has the milliseconds.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { anthropic } from '../../providers/anthropic.ts'
import { google } from '../../providers/google.ts'
import { openai } from '../../providers/openai.ts'
import type { ChatProvider, ChatRequest, ProviderCall, ResponseContext } from '../../providers/provider.ts'
import { estimateInput, inputTexts } from '../../src/endpoints/chat-completions/estimate-input.ts'
import { parseRequest } from '../../src/endpoints/chat-completions/read-request.ts'
import { judgeStrangers } from '../../src/endpoints/chat-completions/strange-members.ts'
import { HOSTILE_BODIES } from '../support/hostile-bodies.ts'
import { HOSTILE_STREAMS } from '../support/hostile-streams.ts'
import { countSteps, type Steps } from './steps.ts'

const BYTES = 50_000
/** Twice the bytes; what grows with their square is at four. */
const GROWTH_MAX = 2.5
/** So few are the beginning of every request or stream. */
const STEPS_MIN = 20_000
/** A request is walked some ten times before it goes out: parsed, counted, bounded, translated. */
const STEPS_A_BYTE_MAX = 150

const DIALECTS = {
  openai: { provider: openai, model: 'gpt-4o' },
  anthropic: { provider: anthropic, model: 'claude-sonnet-4-5' },
  google: { provider: google, model: 'gemini-2.5-flash' },
} as const

let steps: Steps
beforeAll(async () => {
  steps = await countSteps()
})
afterAll(() => steps.close())

/** All that becomes of a request before it is sent, whoever refuses it. */
function handle(text: Buffer, { provider, model }: { provider: ChatProvider; model: string }): void {
  const request = parseRequest(text)
  const facts = provider.model(model, request.json)
  const taken = { taken: provider.chat.takes(null), label: provider.label }
  const attempts = [
    () => judgeStrangers(request, taken, { dropParams: false, allowedParams: [] }),
    () => judgeStrangers(request, taken, { dropParams: true, allowedParams: [] }),
    () => judgeStrangers(request, taken, { dropParams: false, allowedParams: ['*'] }),
  ]
  for (const attempt of attempts) {
    try {
      attempt()
    } catch {}
  }
  const refused = provider.chat.refuses(request.json, model)
  if (refused.some(({ droppable }) => !droppable)) return
  provider.chat.serverTools(request.json, model)
  const size = provider.chat.mediaTokens(model)
  estimateInput(request.json, facts, (part) => size(part, request.cuts), provider.chat.unpackId)
  inputTexts(request.json, provider.chat.unpackId)
  provider.chat.prepare(
    callOf(
      request,
      model,
      refused.map(({ param }) => param),
    ),
  )
}

function callOf(request: ChatRequest, model: string, drop: string[]): ProviderCall {
  const dropAt = request.strangers.map(({ path }) => path).filter((path) => path.length > 1)
  return {
    request,
    model,
    drop,
    dropAt,
    apiKey: 'k',
    apiBase: null,
    organization: null,
    extraHeaders: {},
    defaults: {},
    outputCap: 100,
    maxPrice: null,
    askUsage: true,
  }
}

async function expectLinear(work: (bytes: number) => () => void): Promise<void> {
  const [once, twice] = [work(BYTES), work(2 * BYTES)]
  await steps.of(once)
  const few = await steps.of(once)
  const many = await steps.of(twice)
  expect(many / Math.max(few, STEPS_MIN)).toBeLessThan(GROWTH_MAX)
  expect(many / (2 * BYTES)).toBeLessThan(STEPS_A_BYTE_MAX)
}

describe.each(Object.keys(DIALECTS) as (keyof typeof DIALECTS)[])('a request to a model of %s', (dialect) => {
  test.each(HOSTILE_BODIES)('Twice the bytes of a request take twice the work: $name', async ({ make }) => {
    await expectLinear((bytes) => {
      const text = make(bytes, 'm')
      return () => handle(text, DIALECTS[dialect])
    })
  })
})

const REQUEST = parseRequest(Buffer.from('{"model":"m","messages":[{"role":"user","content":"x"}],"stream":true}'))

describe.each([64_000, 100])('a stream in pieces of %d bytes', (size) => {
  test.each(HOSTILE_STREAMS)(
    'Twice the bytes of a stream take twice the work: $dialect: $name',
    async ({ dialect, make }) => {
      const { provider, model } = DIALECTS[dialect]
      const context: ResponseContext = { request: REQUEST, model, choices: 1, callId: 'call', created: 1 }
      await expectLinear((bytes) => {
        const all = make(bytes)
        return () => {
          const reader = provider.chat.readStream(context)
          let position = 0
          for (let at = 0; at < all.length; at += size) {
            reader.push(all.subarray(at, at + size))
            // As the meter looks while it runs.
            if (at % (size * 16) === 0) position = reader.textSince(position).position
          }
          reader.end()
          reader.outputText()
          reader.shownText()
          reader.usageFrame('1', {})
          reader.stopFrames()
        }
      })
    },
  )
})
