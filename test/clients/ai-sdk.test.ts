/** The Vercel AI SDK over the five dialects, through its client for OpenAI-compatible servers. */
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { APICallError, generateText, isStepCount, type LanguageModelUsage, Output, streamText, tool } from 'ai'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { FAILURES, SECRETS } from '../support/dialect-errors.ts'
import { CITIES, CUT_TEXT, DIALECTS, type Dialect, TEXT, TOOL, TOWN } from '../support/dialects.ts'
import { type Payer, useDialects } from './dialect-product.ts'

const product = useDialects()

function modelFor({ baseURL, apiKey }: Payer, { model }: Dialect) {
  const tollgate = createOpenAICompatible({
    name: 'tollgate',
    baseURL,
    apiKey,
    includeUsage: true,
    supportsStructuredOutputs: true,
  })
  return tollgate(model)
}

/** The numbers of so many calls, as the SDK adds them up. */
function usageOf({ usage: { prompt, completion, cached, reasoning } }: Dialect, calls = 1) {
  return {
    inputTokens: prompt * calls,
    outputTokens: completion * calls,
    totalTokens: (prompt + completion) * calls,
    inputTokenDetails: { noCacheTokens: (prompt - cached) * calls, cacheReadTokens: cached * calls },
    outputTokenDetails: { textTokens: (completion - reasoning) * calls, reasoningTokens: reasoning * calls },
  } satisfies { [Key in keyof LanguageModelUsage]?: unknown }
}

const tools = {
  [TOOL]: tool({
    description: 'The weather of a city',
    inputSchema: z.object({ city: z.string() }),
    execute: ({ city }) => `rain in ${city}`,
  }),
}
const RAIN = 'rain in Oslo; rain in Lima'
const output = Output.object({ schema: z.object({ city: z.string(), people: z.number() }) })

/** What the SDK throws. */
async function thrown(work: PromiseLike<unknown>): Promise<APICallError> {
  const error = await work.then(
    () => expect.unreachable('the call was answered'),
    (reason: unknown) => reason,
  )
  if (!APICallError.isInstance(error)) throw error
  return error
}

describe.each(DIALECTS)('$provider', (dialect) => {
  const open = async () => {
    const payer = await product.payer()
    return { payer, model: modelFor(payer, dialect) }
  }

  test('generateText of the AI SDK works.', async () => {
    const { payer, model } = await open()
    const { text, finishReason, usage, finalStep } = await generateText({ model, prompt: 'Hello' })
    expect(text).toBe(TEXT)
    expect(finishReason).toBe('stop')
    expect(usage).toMatchObject(usageOf(dialect))
    expect(finalStep.reasoningText).toBe(dialect.thought ?? undefined)
    await product.expectBooked(payer, dialect, ['answered'])
  })

  test('streamText of the AI SDK works.', async () => {
    const { payer, model } = await open()
    const result = streamText({ model, prompt: 'Hello' })
    const parts: string[] = []
    let text = ''
    for await (const part of result.stream) {
      parts.push(part.type)
      if (part.type === 'text-delta') text += part.text
    }
    expect(text).toBe(TEXT)
    expect(parts).not.toContain('error')
    expect(parts.filter((type) => type === 'finish')).toHaveLength(1)
    expect(await result.finishReason).toBe('stop')
    expect(await result.usage).toMatchObject(usageOf(dialect))
    expect((await result.finalStep).reasoningText).toBe(dialect.thought ?? undefined)
    await product.expectBooked(payer, dialect, ['answered'])
  })

  test('Tools of the AI SDK work in several steps, whole.', async () => {
    const { payer, model } = await open()
    const result = await generateText({ model, prompt: 'Weather?', tools, stopWhen: isStepCount(3) })
    expect(result.steps.map(({ finishReason }) => finishReason)).toEqual(['tool-calls', 'stop'])
    expect(result.steps[0]?.toolCalls).toMatchObject(CITIES.map((city) => ({ toolName: TOOL, input: { city } })))
    expect(result.text).toBe(RAIN)
    expect(result.usage).toMatchObject(usageOf(dialect, 2))
    await product.expectBooked(payer, dialect, ['answered', 'answered'])
  })

  test('Tools of the AI SDK work in several steps, streamed.', async () => {
    const { payer, model } = await open()
    const result = streamText({ model, prompt: 'Weather?', tools, stopWhen: isStepCount(3) })
    expect(await result.text).toBe(RAIN)
    const steps = await result.steps
    expect(steps.map(({ finishReason }) => finishReason)).toEqual(['tool-calls', 'stop'])
    expect(steps[0]?.toolCalls).toMatchObject(CITIES.map((city) => ({ toolName: TOOL, input: { city } })))
    expect(await result.usage).toMatchObject(usageOf(dialect, 2))
    await product.expectBooked(payer, dialect, ['answered', 'answered'])
  })

  test('The AI SDK gets an object of a schema, whole and streamed.', async () => {
    const { payer, model } = await open()
    expect((await generateText({ model, prompt: 'A town', output })).output).toEqual(TOWN)
    const streamed = streamText({ model, prompt: 'A town', output })
    const partial: unknown[] = []
    for await (const part of streamed.partialOutputStream) partial.push(part)
    expect(partial).toEqual([{ city: 'Oslo' }, TOWN])
    expect(await streamed.output).toEqual(TOWN)
    await product.expectBooked(payer, dialect, ['answered', 'answered'])
  })

  test.each([
    ['rate', 429, true],
    ['account', 503, true],
    ['malformed', 400, false],
  ] as const)(
    'An error before the response (%s) is an APICallError with status %i.',
    async (failure, status, isRetryable) => {
      const { payer, model } = await open()
      const error = await thrown(generateText({ model, prompt: FAILURES[failure], maxRetries: 0 }))
      expect(error).toMatchObject({ statusCode: status, isRetryable })
      expect(error.message).not.toBe('')
      for (const secret of SECRETS) expect(error.responseBody).not.toContain(secret)
      await product.expectBooked(payer, dialect, ['failed'])
    },
  )

  test('A stream that fails in the middle gives what came, then the error, and that much is charged.', async () => {
    const { payer, model } = await open()
    const result = streamText({ model, prompt: FAILURES.inStream, maxRetries: 0, onError: () => {} })
    let text = ''
    const errors: unknown[] = []
    for await (const part of result.stream) {
      if (part.type === 'text-delta') text += part.text
      if (part.type === 'error') errors.push(part.error)
    }
    expect(text).toBe(CUT_TEXT)
    expect(errors).toMatchObject([{ code: dialect.provider === 'groq' ? 'tool_use_failed' : 'provider_failed' }])
    await product.expectBooked(payer, dialect, ['cut'])
  })
})
