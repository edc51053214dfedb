/**
 * OpenAI's own client on POST /v1/completions: a model that completes texts, whose bytes pass, and models for chat, which are asked by a
 * message. `instruct` costs $1.50 and $2 a million tokens, `gpt-4o-mini` $0.15 and $0.60, and half of it on top.
 */
import type OpenAI from 'openai'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { chargesOf } from '../../support/call-books.ts'
import { lastRequestOf, seedPayer } from '../../support/openai-payer.ts'
import { useProduct } from '../../support/product.ts'
import { modelOn, postChat } from '../../support/tollgate.ts'
import {
  type Answer,
  chat,
  chatStream,
  type Handler,
  jsonAnswer,
  rawStream,
  sse,
} from '../../support/upstream-answers.ts'

type Json = Record<string, unknown>

const product = useProduct((url) => ({
  models: [
    modelOn(url, 'instruct', { model: 'openai/gpt-3.5-turbo-instruct' }),
    modelOn(url, 'claude', { model: 'anthropic/claude-haiku-4-5' }),
    modelOn(url, 'flash', { model: 'gemini/gemini-2.5-flash' }),
    modelOn(url, 'mocked', { model: 'openai/gpt-4o-mini', mock_response: 'Hello world' }),
    modelOn(url, 'small', { model: 'openai/text-embedding-3-small' }),
    {
      ...modelOn(url, 'local', { model: 'openai/base', input_cost_per_token: 1e-6, output_cost_per_token: 2e-6 }),
      model_info: { id: 'local', mode: 'completion' },
    },
  ],
  router_settings: { num_retries: 0 },
}))

const USAGE = { prompt_tokens: 4, completion_tokens: 5, total_tokens: 9 }
const HEAD = { id: 'cmpl-1', object: 'text_completion', created: 1_700_000_000, model: 'gpt-3.5-turbo-instruct' }
const choice = (text: string, finish: string | null, index = 0) => ({
  text,
  index,
  logprobs: null,
  finish_reason: finish,
})
const frames = (words: readonly string[], usage: Json | null = USAGE) => [
  ...words.map((word) => sse({ ...HEAD, choices: [choice(word, null)] })),
  sse({ ...HEAD, choices: [choice('', 'stop')] }),
  ...(usage === null ? [] : [sse({ ...HEAD, choices: [], usage })]),
  'data: [DONE]\n\n',
]

/** Completes whole or streamed, as it is asked. */
function completes(words = ['Hello', ' world'], usage: Json | null = USAGE): Handler {
  return ({ json }) => {
    if (json?.stream === true) return rawStream(frames(words, usage))
    return jsonAnswer({ ...HEAD, choices: [choice(words.join(''), 'stop')], ...(usage === null ? {} : { usage }) })
  }
}

let orgId: string
let key: string
let client: OpenAI

async function payer(upstream: Handler | Answer, credits = 10_000): Promise<void> {
  ;({ orgId, key, client } = await seedPayer(product, upstream, credits))
}

beforeAll(() => payer(completes()))

const lastRequest = () => lastRequestOf(product)

const booked = () => chargesOf(product.db.pool, orgId)

const row = (charge: string, more: Json = {}): Json => {
  return { outcome: 'answered', provenance: 'provider_usage', charge, service_type: 'llm_inference', ...more }
}

interface Streamed {
  text: string
  objects: Set<string>
  finish: (string | null)[]
  usage: unknown
}

async function streamed(body: Omit<OpenAI.CompletionCreateParamsStreaming, 'stream'>): Promise<Streamed> {
  const seen: Streamed = { text: '', objects: new Set(), finish: [], usage: null }
  for await (const chunk of await client.completions.create({ ...body, stream: true })) {
    seen.objects.add(chunk.object)
    for (const { text, finish_reason } of chunk.choices) {
      seen.text += text
      if (finish_reason !== null) seen.finish.push(finish_reason)
    }
    seen.usage = chunk.usage ?? seen.usage
  }
  return seen
}

describe('A model that completes texts', () => {
  test('A model that completes texts gets the bytes that were sent, with a cap where there is none, and its own pass.', async () => {
    await payer(completes())
    const body = '{"model":"instruct", "prompt":"Say \\u0068ello","temperature":1.0 ,"power_level":"balanced"}'
    const answer = await postChat(product.tollgate, key, body, { path: '/completions' })
    expect(lastRequest()).toMatchObject({ path: '/v1/completions' })
    expect(lastRequest().body.toString()).toBe(
      '{"model":"gpt-3.5-turbo-instruct", "prompt":"Say \\u0068ello","temperature":1.0,"max_tokens":16}',
    )
    expect(answer.json()).toEqual({
      ...{ ...HEAD, model: 'instruct', choices: [choice('Hello world', 'stop')] },
      usage: { ...USAGE, cost: 0.000024 },
    })
    // 4 at $1.50, 5 at $2.
    expect(await booked()).toEqual([row('0.024000')])
  })

  test('A text is streamed in its own chunks, with the usage for a caller who asks for it.', async () => {
    await payer(completes())
    const asked = { model: 'instruct', prompt: 'Say hello', max_tokens: 50 }
    expect(await streamed(asked)).toEqual({
      text: 'Hello world',
      objects: new Set(['text_completion']),
      finish: ['stop'],
      usage: null,
    })
    const { usage, objects } = await streamed({ ...asked, stream_options: { include_usage: true } })
    expect([usage, objects]).toEqual([{ ...USAGE, cost: 0.000024 }, new Set(['text_completion'])])
    expect(lastRequest().json).toMatchObject({ max_tokens: 50, stream_options: { include_usage: true } })
    expect(await booked()).toEqual([row('0.024000'), row('0.024000')])
  })

  test('A text of which no usage is stated is counted, whole and streamed, without the prompt that it repeats.', async () => {
    await payer(completes(['Hello', ' world'], null))
    await client.completions.create({ model: 'instruct', prompt: 'Say hello' })
    await streamed({ model: 'instruct', prompt: 'Say hello' })
    product.upstream.respond(completes(['Say hello', 'Hello', ' world'], null))
    await client.completions.create({ model: 'instruct', prompt: 'Say hello', echo: true })
    // 2 tokens each.
    expect(await booked()).toEqual(Array(3).fill(row('0.010500', { provenance: 'estimated' })))
  })

  test('The hold covers each text for each prompt, also those of which only the best is returned.', async () => {
    await payer(completes())
    const held = async (more: Json) => {
      const body = { model: 'local', prompt: 'a', max_tokens: 1_000, ...more }
      const { body: text } = await postChat(product.tollgate, key, body, {
        path: '/v1/quotes?endpoint=/v1/completions',
      })
      return (JSON.parse(text) as { held_credits: number }).held_credits
    }
    // $2 a million tokens of output; a prompt is one token and two that a server may put around it.
    expect(await held({})).toBe(3.0045)
    expect(await held({ n: 4 })).toBe(12.0045)
    expect(await held({ n: 2, best_of: 5 })).toBe(15.0045)
    expect(await held({ prompt: ['a', 'a', 'a'], n: 2 })).toBe(18.0135)
    expect(await held({ prompt: [[1, 2, 3], [4]], best_of: 3 })).toBe(18.012)
    expect(await held({ prompt: Array(1_000).fill(1), max_tokens: 0 })).toBe(1.503)
  })

  test('A model that completes texts takes several prompts of tokens, a suffix, probabilities and the best of some.', async () => {
    await payer(completes())
    const more = {
      logprobs: 3,
      echo: true,
      best_of: 3,
      suffix: '.',
      seed: 1,
      stop: ['\n'],
      logit_bias: { '50256': -100 },
    }
    await client.completions.create({ model: 'instruct', prompt: [[1, 2], [3]], max_tokens: 7, ...more })
    expect(lastRequest().json).toEqual({
      model: 'gpt-3.5-turbo-instruct',
      prompt: [[1, 2], [3]],
      max_tokens: 7,
      ...more,
    })
  })

  test('A text is stopped when the credits are used up, in its own form.', async () => {
    await payer(completes(Array(6_000).fill(' word and more words'), null), 30)
    const { finish, objects, usage } = await streamed({
      ...{ model: 'instruct', prompt: 'Go on', max_tokens: 60_000, stream_options: { include_usage: true } },
    })
    expect([finish, objects]).toEqual([['length'], new Set(['text_completion'])])
    const [only] = await booked()
    expect(only).toMatchObject({ outcome: 'stopped', provenance: 'estimated' })
    expect((usage as { cost: number }).cost).toBeCloseTo(Number(only?.charge) / 1_000, 9)
  })

  test('A text that broke off is charged for what came, wherever it did.', async () => {
    const parts = frames(['Hello', ' world'])
    for (let at = 0; at <= parts.length; at += 1) {
      await payer(rawStream(parts, { cutAfter: parts.slice(0, at).join('').length }))
      await streamed({ model: 'instruct', prompt: 'Say hello' }).catch(() => null)
      // Nothing for nothing; 2 tokens of input, and each word is one; what was stated once it is.
      const charge = ['0.000000', '0.007500', '0.010500', '0.010500', '0.024000', '0.024000'][at]
      await vi.waitFor(async () => expect((await booked()).map((one) => one.charge)).toEqual([charge]))
    }
  })

  test('A text is charged to a caller who leaves after any chunk, with no more than reading it to its end costs.', async () => {
    for (let leaveAfter = 1; leaveAfter <= 3; leaveAfter += 1) {
      await payer(completes())
      const leave = new AbortController()
      const body = { model: 'instruct', prompt: 'Say hello', stream: true as const }
      const stream = await client.completions.create(body, { signal: leave.signal })
      let seen = 0
      for await (const _ of stream) {
        seen += 1
        if (seen === leaveAfter) break
      }
      leave.abort()
      await vi.waitFor(async () => expect(await booked()).toHaveLength(1))
      const charge = Number((await booked())[0]?.charge)
      expect([charge > 0, charge <= 0.024]).toEqual([true, true])
    }
  })
})

describe('A model for chat', () => {
  const chatRow = row('0.006975')

  test('A model for chat is asked for a text by a message, and what it says is the text: whole and streamed.', async () => {
    await payer(chat())
    const asked = { model: 'gpt-4o-mini', prompt: 'Say hello', max_tokens: 50, temperature: 0.5, stop: '\n' }
    const { object, choices, usage, model } = await client.completions.create(asked)
    expect([object, model, choices]).toEqual(['text_completion', 'gpt-4o-mini', [choice('Hello world', 'stop')]])
    expect(usage).toEqual({ prompt_tokens: 11, completion_tokens: 5, total_tokens: 16, cost: 0.000006975 })
    expect(lastRequest()).toMatchObject({ path: '/v1/chat/completions' })
    expect(lastRequest().json).toMatchObject({
      messages: [{ role: 'user', content: 'Say hello' }],
      temperature: 0.5,
      stop: '\n',
    })
    const whole = { text: 'Hello world', objects: new Set(['text_completion']), finish: ['stop'] }
    expect(await streamed(asked)).toEqual({ ...whole, usage: null })
    expect(await streamed({ ...asked, stream_options: { include_usage: true } })).toMatchObject({ ...whole, usage })
    expect(await booked()).toEqual([chatRow, chatRow, chatRow])
  })

  test('A model of another dialect completes a text too.', async () => {
    const content = [{ type: 'text', text: 'Hello world' }]
    const message = { id: 'm', type: 'message', role: 'assistant', model: 'claude-haiku-4-5', stop_reason: 'end_turn' }
    await payer(jsonAnswer({ ...message, content, usage: { input_tokens: 10, output_tokens: 5 } }))
    const { choices } = await client.completions.create({ model: 'claude', prompt: 'Say hello', max_tokens: 50 })
    expect(choices).toEqual([choice('Hello world', 'stop')])
    expect(await booked()).toEqual([row('0.052500')])
  })

  test('A model for chat writes several texts where several are asked for.', async () => {
    await payer(chat())
    await client.completions.create({ model: 'gpt-4o-mini', prompt: 'Say hello', n: 2, best_of: 2 })
    expect(lastRequest().json).toMatchObject({ n: 2 })
    expect(lastRequest().json).not.toHaveProperty('best_of')
  })

  test('A text of a model for chat is stopped when the credits are used up.', async () => {
    await payer(chatStream({ text: Array(6_000).fill(' word and more words'), usage: null }), 9)
    const { finish, objects } = await streamed({ model: 'gpt-4o-mini', prompt: 'Go on', max_tokens: 60_000 })
    expect([finish, objects]).toEqual([['length'], new Set(['text_completion'])])
    expect(await booked()).toMatchObject([{ outcome: 'stopped' }])
  })

  test('A deployment with a mock_response completes a text.', async () => {
    await payer(completes())
    const { choices } = await client.completions.create({ model: 'mocked', prompt: 'Say hello' })
    expect([choices, product.upstream.requests]).toEqual([[choice('Hello world', 'stop')], []])
  })
})

describe('A request to complete a text', () => {
  const mini = { model: 'gpt-4o-mini', prompt: 'a' }
  const instruct = { model: 'instruct', prompt: 'a' }
  test.each<[string, Json, string, string]>([
    ['no prompt', { model: 'instruct' }, 'prompt', 'invalid_request'],
    ['an empty prompt', { ...instruct, prompt: '' }, 'prompt', 'invalid_request'],
    ['prompts of two kinds', { ...instruct, prompt: ['a', 1] }, 'prompt[1]', 'invalid_request'],
    ['a token that is none', { ...instruct, prompt: [2 ** 53] }, 'prompt', 'invalid_request'],
    ['more texts than are written at once', { ...instruct, prompt: ['a', 'b'], n: 65 }, 'prompt', 'invalid_request'],
    ['fewer to choose from than are returned', { ...instruct, n: 3, best_of: 2 }, 'best_of', 'invalid_request'],
    ['the best of a stream', { ...instruct, best_of: 2, stream: true }, 'best_of', 'invalid_request'],
    ['the best of too many', { ...instruct, best_of: 129 }, 'best_of', 'invalid_request'],
    ['a prompt that a stream repeats', { ...instruct, echo: true, stream: true }, 'echo', 'unsupported_parameter'],
    ['a cap that is none', { ...instruct, max_tokens: '9' }, 'max_tokens', 'invalid_request'],
    ['a cap in another case', { ...instruct, Max_Tokens: 9 }, 'Max_Tokens', 'invalid_request'],
    ['choices of the best in another case', { ...instruct, bestOf: 9 }, 'bestOf', 'invalid_request'],
    [
      'a cap of another endpoint',
      { ...instruct, max_completion_tokens: 9 },
      'max_completion_tokens',
      'unsupported_parameter',
    ],
    ['messages to a model of texts', { ...instruct, messages: [] }, 'messages', 'unsupported_parameter'],
    [
      'messages to a model for chat',
      { ...mini, messages: [{ role: 'user', content: 'b' }] },
      'messages',
      'unsupported_parameter',
    ],
    ['tools', { ...mini, tools: [] }, 'tools', 'unsupported_parameter'],
    ['tokens to a model for chat', { ...mini, prompt: [1] }, 'prompt', 'unsupported_parameter'],
    ['several prompts to a model for chat', { ...mini, prompt: ['a', 'b'] }, 'prompt', 'unsupported_parameter'],
    ['a suffix to a model for chat', { ...mini, suffix: 'b' }, 'suffix', 'unsupported_parameter'],
    ['probabilities of a model for chat', { ...mini, logprobs: 2 }, 'logprobs', 'unsupported_parameter'],
    ['an echo of a model for chat', { ...mini, echo: true }, 'echo', 'unsupported_parameter'],
    ['the best of a model for chat', { ...mini, best_of: 2 }, 'best_of', 'unsupported_parameter'],
    [
      'what Google can’t honour',
      { ...mini, model: 'flash', logit_bias: { a: 1 } },
      'logit_bias',
      'unsupported_parameter',
    ],
    ['a model that embeds', { ...mini, model: 'small' }, 'model', 'unsupported_endpoint'],
  ])(
    'A request to complete a text is refused by name before anything is called or held: %s.',
    async (_, body, param, code) => {
      await payer(completes())
      const answer = await postChat(product.tollgate, key, body, { path: '/v1/completions' })
      expect([answer.status, answer.json()]).toMatchObject([400, { error: { param, code } }])
      expect([product.upstream.requests, await booked()]).toEqual([[], []])
    },
  )
})
