/** LangChain.js over the five dialects: ChatOpenAI with another base URL. */
import { AIMessageChunk, type BaseMessageLike, ToolMessage, type UsageMetadata } from '@langchain/core/messages'
import { tool } from '@langchain/core/tools'
import { ChatOpenAI } from '@langchain/openai'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { FAILURES, SECRETS } from '../support/dialect-errors.ts'
import { CITIES, CUT_TEXT, DIALECTS, type Dialect, TEXT, TOOL, TOWN } from '../support/dialects.ts'
import { type Payer, useDialects } from './dialect-product.ts'

const product = useDialects()

const modelFor = ({ baseURL, apiKey }: Payer, { model }: Dialect) =>
  new ChatOpenAI({ model, apiKey, configuration: { baseURL }, maxRetries: 0 })

const weather = tool(({ city }: { city: string }) => `rain in ${city}`, {
  name: TOOL,
  description: 'The weather of a city',
  schema: z.object({ city: z.string() }),
})
const CALLS = CITIES.map((city, i) => ({ id: `call_${i}`, name: TOOL, args: { city } }))
const RAIN = 'rain in Oslo; rain in Lima'
const TOWN_SCHEMA = z.object({ city: z.string(), people: z.number() })

function metadataOf({ usage: { prompt, completion } }: Dialect) {
  return { input_tokens: prompt, output_tokens: completion, total_tokens: prompt + completion }
}

/** What LangChain throws: the error of OpenAI's client. */
async function thrown(work: Promise<unknown>): Promise<{ status?: number; code?: string; error?: unknown }> {
  return work.then(
    () => expect.unreachable('the call was answered'),
    (reason: unknown) => reason as object,
  )
}

describe.each(DIALECTS)('$provider', (dialect) => {
  const open = async () => {
    const payer = await product.payer()
    return { payer, model: modelFor(payer, dialect) }
  }

  test('invoke of LangChain works.', async () => {
    const { payer, model } = await open()
    const answer = await model.invoke('Hello')
    expect(answer.content).toBe(TEXT)
    expect(answer.response_metadata.finish_reason).toBe('stop')
    const usage = answer.usage_metadata as UsageMetadata | undefined
    expect(usage).toMatchObject(metadataOf(dialect))
    expect(usage?.input_token_details?.cache_read ?? 0).toBe(dialect.usage.cached)
    expect(usage?.output_token_details?.reasoning ?? 0).toBe(dialect.usage.reasoning)
    await product.expectBooked(payer, dialect, ['answered'])
  })

  test('stream of LangChain works.', async () => {
    const { payer, model } = await open()
    let whole = new AIMessageChunk('')
    for await (const chunk of await model.stream('Hello')) whole = whole.concat(chunk)
    expect(whole.content).toBe(TEXT)
    expect(whole.response_metadata.finish_reason).toBe('stop')
    expect(whole.usage_metadata).toMatchObject(metadataOf(dialect))
    await product.expectBooked(payer, dialect, ['answered'])
  })

  test('bindTools makes both calls, and the model answers after their results.', async () => {
    const { payer, model } = await open()
    const bound = model.bindTools([weather])
    const asked: BaseMessageLike[] = [{ role: 'user', content: 'Weather?' }]
    const answer = await bound.invoke(asked)
    expect(answer.tool_calls).toMatchObject(CALLS)
    expect(answer.response_metadata.finish_reason).toBe('tool_calls')
    const results = await Promise.all((answer.tool_calls ?? []).map((call) => weather.invoke(call)))
    expect(results.every((result) => result instanceof ToolMessage)).toBe(true)
    expect((await bound.invoke([...asked, answer, ...results])).content).toBe(RAIN)
    await product.expectBooked(payer, dialect, ['answered', 'answered'])
  })

  test('bindTools, streamed, puts the calls together out of their pieces.', async () => {
    const { payer, model } = await open()
    let whole = new AIMessageChunk('')
    for await (const chunk of await model.bindTools([weather]).stream('Weather?')) whole = whole.concat(chunk)
    expect(whole.tool_calls).toMatchObject(CALLS)
    expect(whole.response_metadata.finish_reason).toBe('tool_calls')
    await product.expectBooked(payer, dialect, ['answered'])
  })

  test.each(['jsonSchema', 'functionCalling'] as const)('withStructuredOutput works by %s.', async (method) => {
    const { payer, model } = await open()
    const town = model.withStructuredOutput(TOWN_SCHEMA, { name: 'town', method })
    expect(await town.invoke('A town')).toEqual(TOWN)
    await product.expectBooked(payer, dialect, ['answered'])
  })

  test.each([
    ['rate', 429, 'provider_rate_limited'],
    ['account', 503, 'provider_account'],
    ['malformed', 400, null],
  ] as const)('An error before the response (%s) keeps its status %i.', async (failure, status, code) => {
    const { payer, model } = await open()
    const error = await thrown(model.invoke(FAILURES[failure]))
    expect(error).toMatchObject(code === null ? { status } : { status, code })
    for (const secret of SECRETS) expect(JSON.stringify(error.error)).not.toContain(secret)
    await product.expectBooked(payer, dialect, ['failed'])
  })

  test('A stream that fails in the middle throws, after what came before; that much is charged.', async () => {
    const { payer, model } = await open()
    let text = ''
    const read = async () => {
      for await (const chunk of await model.stream(FAILURES.inStream)) text += chunk.text
    }
    const error = await thrown(read())
    expect(text).toBe(CUT_TEXT)
    expect(error.code).toBe(dialect.provider === 'groq' ? 'tool_use_failed' : 'provider_failed')
    await product.expectBooked(payer, dialect, ['cut'])
  })
})
