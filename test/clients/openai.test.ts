/** OpenAI's client for Node over the five dialects: its base URL and key changed and nothing else. */
import OpenAI, { APIError, BadRequestError, InternalServerError, RateLimitError } from 'openai'
import { zodResponseFormat } from 'openai/helpers/zod'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { FAILURES, SECRETS } from '../support/dialect-errors.ts'
import { CUT_TEXT, DIALECTS, type Dialect, speakDialects, TEXT, TOOL, TOWN } from '../support/dialects.ts'
import { errorAnswer, type Handler } from '../support/upstream-answers.ts'
import { type Payer, useDialects } from './dialect-product.ts'

const product = useDialects()

const clientOf = ({ baseURL, apiKey }: Payer, maxRetries = 0) => new OpenAI({ baseURL, apiKey, maxRetries })

const say = (content: string) => [{ role: 'user' as const, content }]

const WEATHER = {
  type: 'function' as const,
  function: {
    name: TOOL,
    description: 'The weather of a city',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
}
const RUN_WEATHER = {
  ...WEATHER,
  function: {
    ...WEATHER.function,
    parse: (text: string) => JSON.parse(text) as { city: string },
    function: ({ city }: { city: string }) => `rain in ${city}`,
  },
}
const CALLS = [
  { id: 'call_0', type: 'function', function: { name: TOOL, arguments: '{"city":"Oslo"}' } },
  { id: 'call_1', type: 'function', function: { name: TOOL, arguments: '{"city":"Lima"}' } },
]
const RAIN = 'rain in Oslo; rain in Lima'

/** `usage` as clients are shown it. The cost is in dollars, of which a credit is a thousandth. */
function shown({ usage, charge }: Dialect) {
  const { prompt, completion } = usage
  return expect.objectContaining({
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    cost: Number((Number(charge) / 1000).toFixed(9)),
  })
}

/** What the client throws. */
async function thrown(work: Promise<unknown>): Promise<APIError> {
  const error = await work.then(
    () => expect.unreachable('the call was answered'),
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(APIError)
  return error as APIError
}

describe.each(DIALECTS)('$provider', (dialect) => {
  const { model } = dialect

  test('create gives the completion, with the response beside it.', async () => {
    const payer = await product.payer()
    const { data, response, request_id } = await clientOf(payer)
      .chat.completions.create({ model, messages: say('Hello') })
      .withResponse()
    expect(data.choices).toHaveLength(1)
    expect(data.choices[0]).toMatchObject({ finish_reason: 'stop', message: { role: 'assistant', content: TEXT } })
    expect(data.usage).toEqual(shown(dialect))
    expect(request_id).toBe(response.headers.get('x-request-id'))
    expect(response.headers.get('x-credits-used')).toBe(dialect.charge)
    expect(response.headers.get('x-cost-provenance')).toBe(dialect.provenance)
    expect(response.headers.get('x-provider-used')).toBe(dialect.provider)
    await product.expectBooked(payer, dialect, ['answered'])
  })

  test('create with stream gives chunks, one finish and one usage, which comes last.', async () => {
    const payer = await product.payer()
    const stream = await clientOf(payer).chat.completions.create({
      model,
      messages: say('Hello'),
      stream: true,
      stream_options: { include_usage: true },
    })
    const chunks: OpenAI.ChatCompletionChunk[] = []
    for await (const chunk of stream) chunks.push(chunk)
    const choices = chunks.flatMap((chunk) => chunk.choices)
    expect(choices.map(({ delta }) => delta.content ?? '').join('')).toBe(TEXT)
    expect(choices.flatMap(({ finish_reason }) => finish_reason ?? [])).toEqual(['stop'])
    expect(chunks.flatMap(({ usage }) => usage ?? [])).toEqual([shown(dialect)])
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: shown(dialect) })
    await product.expectBooked(payer, dialect, ['answered'])
  })

  test('The stream helper gives its events and the completion it puts together.', async () => {
    const payer = await product.payer()
    let text = ''
    const stream = clientOf(payer)
      .chat.completions.stream({ model, messages: say('Hello'), stream_options: { include_usage: true } })
      .on('content.delta', ({ delta }) => {
        text += delta
      })
    const completion = await stream.finalChatCompletion()
    expect(text).toBe(TEXT)
    expect(completion.choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: TEXT } })
    expect(completion.usage).toEqual(shown(dialect))
    expect(await stream.totalUsage()).toMatchObject({ prompt_tokens: dialect.usage.prompt })
    await product.expectBooked(payer, dialect, ['answered'])
  })

  test('The stream helper puts two calls together out of their pieces.', async () => {
    const payer = await product.payer()
    const done: unknown[] = []
    const stream = clientOf(payer)
      .chat.completions.stream({ model, messages: say('Weather?'), tools: [WEATHER] })
      .on('tool_calls.function.arguments.done', ({ name, arguments: text }) => done.push([name, text]))
    const [choice] = (await stream.finalChatCompletion()).choices
    expect(choice).toMatchObject({ finish_reason: 'tool_calls', message: { tool_calls: CALLS } })
    expect(done).toEqual(CALLS.map(({ function: { name, arguments: text } }) => [name, text]))
    await product.expectBooked(payer, dialect, ['answered'])
  })

  test('create gives both calls at once.', async () => {
    const payer = await product.payer()
    const { choices } = await clientOf(payer).chat.completions.create({
      model,
      messages: say('Weather?'),
      tools: [WEATHER],
    })
    expect(choices).toMatchObject([
      { finish_reason: 'tool_calls', message: { role: 'assistant', content: null, tool_calls: CALLS } },
    ])
    await product.expectBooked(payer, dialect, ['answered'])
  })

  test.each([false, true])(
    'runTools makes its rounds (stream: %s), and each round is a call of its own.',
    async (stream) => {
      const payer = await product.payer()
      const { completions } = clientOf(payer).chat
      const asked = { model, messages: say('Weather?'), tools: [RUN_WEATHER] }
      const runner = stream ? completions.runTools({ ...asked, stream }) : completions.runTools({ ...asked, stream })
      expect(await runner.finalContent()).toBe(RAIN)
      expect(runner.messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'tool', 'tool', 'assistant'])
      await product.expectBooked(payer, dialect, ['answered', 'answered'])
    },
  )

  test('parse reads the schema’s object, whole and streamed.', async () => {
    const payer = await product.payer()
    const { completions } = clientOf(payer).chat
    const response_format = zodResponseFormat(z.object({ city: z.string(), people: z.number() }), 'town')
    const asked = { model, messages: say('A town'), response_format }
    expect((await completions.parse(asked)).choices[0]?.message.parsed).toEqual(TOWN)
    const streamed = await completions.stream(asked).finalChatCompletion()
    expect(streamed.choices[0]?.message.parsed).toEqual(TOWN)
    await product.expectBooked(payer, dialect, ['answered', 'answered'])
  })

  test('A 429 is a RateLimitError, with the time to wait.', async () => {
    const payer = await product.payer()
    const error = await thrown(
      clientOf(payer).chat.completions.create({ model, messages: say(FAILURES.rate), stream: true }),
    )
    expect(error).toBeInstanceOf(RateLimitError)
    expect(error).toMatchObject({ status: 429, code: 'provider_rate_limited', type: 'rate_limit_error' })
    expect(error.headers?.get('retry-after')).toBe(dialect.provider === 'openrouter' ? '2' : '12')
    expect(JSON.stringify(error.error)).not.toContain(SECRETS[1])
    await product.expectBooked(payer, dialect, ['failed'])
  })

  test('A key of ours that the provider rejects is a 503, which shows nothing of the key.', async () => {
    const payer = await product.payer()
    const error = await thrown(clientOf(payer).chat.completions.create({ model, messages: say(FAILURES.account) }))
    expect(error).toBeInstanceOf(InternalServerError)
    expect(error).toMatchObject({ status: 503, code: 'provider_account', type: 'server_error' })
    expect(JSON.stringify(error.error)).not.toContain(SECRETS[0])
    await product.expectBooked(payer, dialect, ['failed'])
  })

  test('A provider that is down is a 503 that says so.', async () => {
    const payer = await product.payer()
    const error = await thrown(clientOf(payer).chat.completions.create({ model, messages: say(FAILURES.down) }))
    expect(error).toBeInstanceOf(InternalServerError)
    expect(error).toMatchObject({ status: 503, code: 'provider_overloaded' })
    await product.expectBooked(payer, dialect, ['failed'])
  })

  test('A 400 is a BadRequestError that says what the provider said.', async () => {
    const payer = await product.payer()
    const error = await thrown(clientOf(payer).chat.completions.create({ model, messages: say(FAILURES.malformed) }))
    expect(error).toBeInstanceOf(BadRequestError)
    expect(error.status).toBe(400)
    expect(error.message).toMatch(/temp/)
    await product.expectBooked(payer, dialect, ['failed'])
  })

  test('A stream that fails in the middle throws, after what came before; that much is charged.', async () => {
    const payer = await product.payer()
    const stream = await clientOf(payer).chat.completions.create({
      model,
      messages: say(FAILURES.inStream),
      stream: true,
    })
    let text = ''
    const read = async () => {
      for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
    }
    const error = await thrown(read())
    expect(text).toBe(CUT_TEXT)
    expect(error.code).toBe(dialect.provider === 'groq' ? 'tool_use_failed' : 'provider_failed')
    await product.expectBooked(payer, dialect, ['cut'])
  })
})

describe('the client’s own retries', () => {
  const [dialect] = DIALECTS as readonly [Dialect]
  const hello = { model: dialect.model, messages: say('Hello') }
  const count = () => product.upstream.tally.calls

  /** Fails once, then answers. */
  function failingOnce(failure: ReturnType<typeof errorAnswer>): Handler {
    let failed = false
    return (request) => {
      if (failed) return speakDialects(request)
      failed = true
      return failure
    }
  }

  test('The client retries after a 429, as long as it says, and the second call alone is charged.', async () => {
    const payer = await product.payer({
      upstream: failingOnce(
        errorAnswer(429, { message: 'slow', code: 'rate_limit_exceeded' }, { headers: { 'retry-after': '1' } }),
      ),
    })
    const before = count()
    expect((await clientOf(payer, 2).chat.completions.create(hello)).choices[0]?.message.content).toBe(TEXT)
    expect(count() - before).toBe(2)
    await product.expectBooked(payer, dialect, ['failed', 'answered'])
  })

  test('The client retries after a 503, and the second call alone is charged.', async () => {
    const payer = await product.payer({ upstream: failingOnce(errorAnswer(500, { message: 'broken' })) })
    const before = count()
    expect((await clientOf(payer, 2).chat.completions.create(hello)).choices[0]?.message.content).toBe(TEXT)
    expect(count() - before).toBe(2)
    await product.expectBooked(payer, dialect, ['failed', 'answered'])
  })

  test('The client does not retry after a 402 for want of credits: x-should-retry is false.', async () => {
    const payer = await product.payer({ allocated: 0 })
    const before = count()
    const error = await thrown(clientOf(payer, 2).chat.completions.create(hello))
    expect(error).toMatchObject({ status: 402, code: 'insufficient_credits', type: 'insufficient_credits' })
    expect(error.headers?.get('x-should-retry')).toBe('false')
    expect(count()).toBe(before)
  })

  test('The client retries after a 402 because a call of its own holds the credits: x-should-retry is true.', async () => {
    const gate = Promise.withResolvers<void>()
    // Room for one call of 300 tokens, not for the 256 of another.
    const payer = await product.payer({
      allocated: 0.45,
      upstream: async (request) => {
        await gate.promise
        return speakDialects(request)
      },
    })
    const asked = { ...hello, max_tokens: 300 }
    const before = count()
    const first = clientOf(payer).chat.completions.create(asked)
    await product.upstream.received(before + 1)
    const refusals: Response[] = []
    const second = new OpenAI({
      ...payer,
      maxRetries: 5,
      fetch: async (input, init) => {
        const answer = await fetch(input, init)
        if (answer.status === 402) {
          refusals.push(answer)
          gate.resolve()
        }
        return answer
      },
    })
    expect((await second.chat.completions.create(asked)).choices[0]?.message.content).toBe(TEXT)
    await first
    expect(refusals[0]?.headers.get('x-should-retry')).toBe('true')
    expect(refusals[0]?.headers.get('retry-after')).toBe('1')
    expect(count() - before).toBe(2)
    await product.expectBooked(payer, dialect, ['answered', 'answered'])
  })
})
