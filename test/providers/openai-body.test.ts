/** What reaches a provider of OpenAI's dialect: the caller's bytes, with only those members changed that must be. */
import { describe, expect, test } from 'vitest'
import type { ProviderCall } from '../../providers/provider.ts'
import { chatProviderOf } from '../../providers/registry.ts'
import { parseRequest } from '../../src/endpoints/chat-completions/read-request.ts'
import { providerCall } from '../support/provider-call.ts'

const MESSAGES = '"messages": [{"role": "user", "content": "né \\u00e9"}]'
const body = (rest = '', model = 'asked') => `{ "model": "${model}", ${MESSAGES}${rest} }`

const MODELS = {
  openai: 'gpt-4o-mini',
  groq: 'llama-3.3-70b-versatile',
  xai: 'grok-3',
  openrouter: 'openai/gpt-4o-mini',
  huggingface: 'meta-llama/Llama-3.3-70B-Instruct:groq',
} as const
type Name = keyof typeof MODELS
const NAMES = Object.keys(MODELS) as Name[]

function prepare(name: Name, text: string, rest: Partial<ProviderCall> = {}) {
  return chatProviderOf(name).chat.prepare(providerCall(text, { model: MODELS[name], apiKey: 'key-1', ...rest }))
}

const sent = (name: Name, text: string, rest: Partial<ProviderCall> = {}) => prepare(name, text, rest).body.toString()

describe.for(NAMES)('a request to %s', (name) => {
  test("A request of OpenAI's dialect goes where its public API is, with our key in a header.", () => {
    const places = {
      openai: 'https://api.openai.com/v1',
      groq: 'https://api.groq.com/openai/v1',
      xai: 'https://api.x.ai/v1',
      openrouter: 'https://openrouter.ai/api/v1',
      huggingface: 'https://router.huggingface.co/v1',
    }
    const { origin, path, headers } = prepare(name, body())
    expect(`${origin}${path}`).toBe(`${places[name]}/chat/completions`)
    expect(headers).toEqual({
      'content-type': 'application/json',
      accept: 'application/json',
      'accept-encoding': 'identity',
      'user-agent': 'tollgate',
      authorization: 'Bearer key-1',
    })
  })

  test("A request of OpenAI's dialect has its own name of the model, and every other byte as it came.", () => {
    const rest = ',\n "seed": 9007199254740993, "temperature": 1.0, "reasoning": {"x": 1e2}'
    expect(sent(name, body(rest))).toBe(body(rest, MODELS[name]))
    // Not even copied where nothing changes.
    const request = parseRequest(Buffer.from(body(rest, MODELS[name])))
    expect(prepare(name, body(), { request }).body).toBe(request.text)
  })

  test("A request of OpenAI's dialect asks for usage in a stream, in our words only, and is silent where it may not ask.", () => {
    expect(sent(name, body(', "stream": true'))).toBe(
      body(', "stream": true,"stream_options":{"include_usage":true}', MODELS[name]),
    )
    for (const own of ['{"include_usage": true, "x": 1.0}', '{"include_usage":false}', 'null', '{}']) {
      expect(sent(name, body(`, "stream": true, "stream_options": ${own}`))).toBe(
        body(', "stream": true, "stream_options": {"include_usage":true}', MODELS[name]),
      )
    }
    for (const options of ['', ', "stream_options": {"include_usage": true}', ', "stream_options": null']) {
      expect(sent(name, body(`, "stream": true${options}`), { askUsage: false })).toBe(
        body(', "stream": true', MODELS[name]),
      )
    }
  })

  test("A request of OpenAI's dialect is without the members to be left out, whether the caller or the operator set them.", () => {
    const dropped = sent(name, body(', "n": 2, "top_p": 0.5, "logit_bias": {"1": 2}'), {
      drop: ['n', 'logit_bias', 'stop'],
      defaults: { stop: ['x'], seed: 7 },
    })
    expect(JSON.parse(dropped)).toEqual({ ...JSON.parse(body('', MODELS[name])), top_p: 0.5, seed: 7 })
  })
})

type Caps = Partial<Record<'max_tokens' | 'max_completion_tokens', number>>

function capsOf(text: string): Caps {
  const { max_tokens, max_completion_tokens } = JSON.parse(text) as Caps
  return JSON.parse(JSON.stringify({ max_tokens, max_completion_tokens })) as Caps
}

describe('the cap on output', () => {
  test.for<[Name, string | undefined, string, Caps]>([
    ['huggingface', undefined, '"max_completion_tokens": 90', { max_tokens: 90 }],
    ['huggingface', undefined, '"max_completion_tokens": 90, "max_tokens": 80', { max_tokens: 90 }],
    ['huggingface', undefined, '"max_tokens": 80', { max_tokens: 80 }],
    ['openai', 'o3', '"max_tokens": 90', { max_completion_tokens: 90 }],
    ['openai', 'gpt-5-mini', '"max_tokens": 90, "max_completion_tokens": 80', { max_completion_tokens: 90 }],
    ['openai', 'gpt-5-mini', '"max_completion_tokens": 80', { max_completion_tokens: 80 }],
    ['openai', 'gpt-4o-mini', '"max_tokens": 90', { max_tokens: 90 }],
    ['groq', undefined, '"max_tokens": 90', { max_tokens: 90 }],
    ['xai', 'grok-4', '"max_tokens": 90', { max_tokens: 90 }],
    ['openrouter', undefined, '"max_completion_tokens": 90', { max_completion_tokens: 90 }],
  ])('The cap on output of the caller stands at %s (%s) where it is taken: %s.', ([name, model, caps, expected]) => {
    const options = model === undefined ? {} : { model }
    expect(capsOf(sent(name, body(`, ${caps}`), options))).toEqual(expected)
  })

  test.for<[Name, string | undefined, string, Caps]>([
    ['huggingface', undefined, '', { max_tokens: 50 }],
    ['huggingface', undefined, ', "max_completion_tokens": 90', { max_tokens: 50 }],
    ['openai', 'o3', ', "max_tokens": 90', { max_completion_tokens: 50 }],
    ['openai', 'o3', '', { max_completion_tokens: 50 }],
    ['groq', undefined, '', { max_completion_tokens: 50 }],
    ['groq', undefined, ', "max_tokens": 90', { max_tokens: 50 }],
    ['xai', 'grok-4', ', "max_tokens": 90, "max_completion_tokens": 80', { max_tokens: 50, max_completion_tokens: 50 }],
  ])('The cap on output of ours takes its place at %s (%s): %s.', ([name, model, caps, expected]) => {
    const options = model === undefined ? {} : { model }
    expect(capsOf(sent(name, body(caps), { ...options, outputCap: 50 }))).toEqual(expected)
  })

  test('The cap on output of the operator is a default like others, and no second one beside the caller’s.', () => {
    const defaults = { max_completion_tokens: 70 }
    expect(capsOf(sent('huggingface', body(', "max_tokens": 90'), { defaults }))).toEqual({ max_tokens: 90 })
    expect(capsOf(sent('openai', body(', "max_tokens": 90'), { defaults }))).toEqual({ max_tokens: 90 })
  })

  test('The cap on output that changes its name leaves every other byte alone.', () => {
    expect(sent('huggingface', body(', "max_completion_tokens": 90, "top_p": 1.0'))).toBe(
      body(', "top_p": 1.0,"max_tokens":90', MODELS.huggingface),
    )
  })
})

describe('a conversation that began with another provider', () => {
  test('A conversation that began with another provider leaves without what that one signed into the ids of its tool calls.', () => {
    const id = 'toolu_1__sig_eJxLTEoGAAJNASc'
    const messages = [
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id, type: 'function', function: { name: 'f', arguments: '{}' } }],
      },
      { role: 'tool', tool_call_id: id, content: 'done' },
    ]
    const text = JSON.stringify({ model: 'gpt-4o-mini', messages })
    expect(sent('openai', text)).toBe(text.replaceAll(id, 'toolu_1'))
    // Its estimate has the bare id, whichever way the longer one is written.
    expect(sent('openai', text.replaceAll('__sig_', '\\u005f_s\\u0069g_'))).toBe(text.replaceAll(id, 'toolu_1'))
  })
})

describe("the operator's own cap", () => {
  test.each<[Name, string, object, object]>([
    ['huggingface', MODELS.huggingface, { max_completion_tokens: 500 }, { max_tokens: 500 }],
    ['huggingface', MODELS.huggingface, { max_tokens: 300, max_completion_tokens: 500 }, { max_tokens: 500 }],
    ['openai', 'o4-mini', { max_tokens: 500 }, { max_completion_tokens: 500 }],
    ['openai', 'gpt-4o-mini', { max_tokens: 500 }, { max_tokens: 500 }],
  ])("The operator's own cap stands where the model takes it: %s %s %j.", (name, model, defaults, caps) => {
    const json = JSON.parse(sent(name, body(), { model, defaults: defaults as Record<string, unknown> }))
    const { max_tokens, max_completion_tokens } = json
    expect(JSON.parse(JSON.stringify({ max_tokens, max_completion_tokens }))).toEqual(caps)
  })

  test("The operator's own cap replaces a null of the caller where that is the place.", () => {
    const defaults = { max_completion_tokens: 500 }
    expect(JSON.parse(sent('huggingface', body(', "max_tokens": null'), { defaults })).max_tokens).toBe(500)
  })
})
