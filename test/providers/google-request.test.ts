import { describe, expect, it } from 'vitest'
import { google } from '../../providers/google.ts'
import type { ProviderCall } from '../../providers/provider.ts'
import { providerCall } from '../support/provider-call.ts'

type Json = Record<string, unknown>

const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
const USER = { role: 'user', content: 'Hello' }

function prepared(json: Json, more: Partial<ProviderCall> = {}) {
  const text = JSON.stringify({ model: 'gemini', messages: [USER], ...json })
  return google.chat.prepare(providerCall(text, { model: 'gemini-2.5-flash', apiKey: 'AIzaSecret', ...more }))
}

function sent(json: Json, more: Partial<ProviderCall> = {}): Json {
  return JSON.parse(prepared(json, more).body.toString()) as Json
}

const contents = (messages: Json[], model = 'gemini-2.5-flash') => sent({ messages }, { model }).contents
const config = (json: Json, model = 'gemini-2.5-flash') => sent(json, { model }).generationConfig
const call = (id: string, name: string, args: string, more: Json = {}) => ({
  id,
  type: 'function',
  function: { name, arguments: args },
  ...more,
})
const TOOL = { type: 'function', function: { name: 'look', parameters: { type: 'object', properties: {} } } }

describe('where it goes', () => {
  it('The key is in a header, and in no address.', () => {
    const whole = prepared({})
    expect(whole.origin + whole.path).toBe(
      'https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent',
    )
    expect(whole.headers['x-goog-api-key']).toBe('AIzaSecret')
    expect(whole.path).not.toContain('AIza')
    expect(prepared({ stream: true }).path).toBe('/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse')
  })

  it('The name of a model never leads to another path.', () => {
    expect(prepared({}, { model: 'models/../../x?y' }).path).toBe('/v1beta/models/..%2F..%2Fx%3Fy:generateContent')
    expect(prepared({}, { model: 'models/gemini-2.5-pro' }).path).toBe('/v1beta/models/gemini-2.5-pro:generateContent')
  })

  it('An api_base replaces host and version; without a path the version is added.', () => {
    const at = (apiBase: string) => prepared({}, { apiBase })
    expect(at('http://127.0.0.1:9/v1').path).toBe('/v1/models/gemini-2.5-flash:generateContent')
    expect(at('http://127.0.0.1:9').path).toBe('/v1beta/models/gemini-2.5-flash:generateContent')
  })
})

describe('messages', () => {
  it('Opening system and developer messages are the instruction, later ones stay in place.', () => {
    const body = sent({
      messages: [
        { role: 'system', content: 'Be kind.' },
        { role: 'developer', content: [{ type: 'text', text: 'Be brief.' }] },
        USER,
        { role: 'assistant', content: 'Hi.' },
        { role: 'system', content: 'Now in French.' },
        { role: 'user', content: 'Again' },
      ],
    })
    expect(body.systemInstruction).toEqual({ parts: [{ text: 'Be kind.' }, { text: 'Be brief.' }] })
    expect(body.contents).toEqual([
      { role: 'user', parts: [{ text: 'Hello' }] },
      { role: 'model', parts: [{ text: 'Hi.' }] },
      { role: 'user', parts: [{ text: 'Now in French.' }, { text: 'Again' }] },
    ])
  })

  it('Consecutive messages of a role become one content, empty texts are left out, and the user comes first.', () => {
    expect(contents([USER, { role: 'user', name: 'bob', content: '' }, { role: 'user', content: 'Bye' }])).toEqual([
      { role: 'user', parts: [{ text: 'Hello' }, { text: 'Bye' }] },
    ])
    expect(contents([{ role: 'assistant', content: 'Welcome' }, USER])).toEqual([
      { role: 'user', parts: [{ text: ' ' }] },
      { role: 'model', parts: [{ text: 'Welcome' }] },
      { role: 'user', parts: [{ text: 'Hello' }] },
    ])
    expect(contents([{ role: 'system', content: 'Only this' }])).toEqual([{ role: 'user', parts: [{ text: ' ' }] }])
  })

  it('A last assistant message is the beginning of the response.', () => {
    expect(contents([USER, { role: 'assistant', content: 'Once' }])).toEqual([
      { role: 'user', parts: [{ text: 'Hello' }] },
      { role: 'model', parts: [{ text: 'Once' }] },
    ])
  })

  it('All results of a turn stand together, in the order of the calls, by name and id, as text.', () => {
    expect(
      contents([
        USER,
        { role: 'assistant', content: null, tool_calls: [call('a', 'look', '{"x":1}'), call('b', 'now', '')] },
        { role: 'tool', tool_call_id: 'b', content: '{"$ref":"#"}' },
        { role: 'system', content: 'Hurry.' },
        {
          role: 'tool',
          tool_call_id: 'a',
          content: [
            { type: 'text', text: 'one' },
            { type: 'text', text: 'two' },
          ],
        },
        { role: 'user', content: 'Well?' },
      ]),
    ).toEqual([
      { role: 'user', parts: [{ text: 'Hello' }] },
      {
        role: 'model',
        parts: [
          { functionCall: { name: 'look', args: { x: 1 }, id: 'a' } },
          { functionCall: { name: 'now', args: {}, id: 'b' } },
        ],
      },
      {
        role: 'user',
        parts: [
          { functionResponse: { name: 'look', response: { result: ['one', 'two'] }, id: 'a' } },
          { functionResponse: { name: 'now', response: { result: '{"$ref":"#"}' }, id: 'b' } },
        ],
      },
      { role: 'user', parts: [{ text: 'Hurry.' }, { text: 'Well?' }] },
    ])
  })

  it('Arguments keep the digits they were written with.', () => {
    const messages = [
      USER,
      { role: 'assistant', tool_calls: [call('a', 'look', '{"id":9007199254740993,"share":1.0,"at":"é"}')] },
      { role: 'tool', tool_call_id: 'a', content: '' },
    ]
    expect(prepared({ messages }).body.toString()).toContain('"args":{"id":9007199254740993,"share":1.0,"at":"é"}')
  })

  it('Signatures come back from ids and from extra content; calls nobody signed are said to be so, once a turn.', () => {
    const signed = 'Ab+/cd=='
    const turn = (calls: Json[], more: Json = {}, model = 'gemini-3-pro-preview') =>
      (contents([USER, { role: 'assistant', content: null, tool_calls: calls, ...more }], model) as Json[])[1]?.parts
    const inId = call('x1__gsig_Ab-_cd', 'look', '{}')
    expect(turn([inId])).toEqual([{ functionCall: { name: 'look', args: {}, id: 'x1' }, thoughtSignature: signed }])
    const extra = { extra_content: { google: { thought_signature: signed } } }
    expect(turn([call('x1', 'look', '{}', extra)])).toEqual(turn([inId]))
    expect(turn([call('x1', 'look', '{}')], extra)).toEqual(turn([inId]))
    const foreign = [call('a', 'look', '{}'), call('b', 'look', '{}')]
    expect((turn(foreign) as Json[]).map((part) => part.thoughtSignature)).toEqual([
      'skip_thought_signature_validator',
      undefined,
    ])
    expect((turn(foreign, {}, 'gemini-2.5-pro') as Json[]).map((part) => part.thoughtSignature)).toEqual([
      undefined,
      undefined,
    ])
    expect(turn([inId], {}, 'gemini-2.0-flash')).toEqual([{ functionCall: { name: 'look', args: {}, id: 'x1' } }])
  })

  it('Thoughts, the tools Google ran, and pictures go back as they came.', () => {
    const ran = { executableCode: { code: 'print(1)', language: 'PYTHON' } }
    const message = {
      role: 'assistant',
      reasoning_content: 'Hm.',
      content: 'One',
      images: [{ type: 'image_url', image_url: { url: `data:image/png;base64,${PIXEL}` } }],
      extra_content: {
        google: {
          thought_signature: 'AAAA',
          parts: [
            { index: 0, part: ran },
            { index: 1, part: { text: 'x' } },
          ],
        },
      },
    }
    expect((contents([USER, message]) as Json[])[1]).toEqual({
      role: 'model',
      parts: [
        { text: 'Hm.', thought: true },
        ran,
        { text: 'One', thoughtSignature: 'AAAA' },
        { inlineData: { mimeType: 'image/png', data: PIXEL } },
      ],
    })
  })
})

describe('content parts', () => {
  const part = (value: Json) => ((contents([{ role: 'user', content: [value] }]) as Json[])[0]!.parts as Json[])[0]

  it.each([
    [
      { type: 'image_url', image_url: { url: `data:image/jpg;base64,${PIXEL}`, detail: 'low' } },
      { inlineData: { mimeType: 'image/jpeg', data: PIXEL } },
    ],
    [
      { type: 'image_url', image_url: { url: 'https://a.example/b.png' } },
      { fileData: { fileUri: 'https://a.example/b.png' } },
    ],
    [
      { type: 'input_audio', input_audio: { data: 'AAAA', format: 'mp3' } },
      { inlineData: { mimeType: 'audio/mp3', data: 'AAAA' } },
    ],
    [
      { type: 'file', file: { filename: 'a.pdf', file_data: 'data:application/pdf;base64,AAAA' } },
      { inlineData: { mimeType: 'application/pdf', data: 'AAAA' } },
    ],
    [
      { type: 'file', file: { filename: 'a.csv', file_data: 'AAAA' } },
      { inlineData: { mimeType: 'text/csv', data: 'AAAA' } },
    ],
    [
      { type: 'image_url', image_url: { url: 'data:text/plain,a%20b' } },
      { inlineData: { mimeType: 'text/plain', data: 'YSBi' } },
    ],
    [
      { type: 'video_url', video_url: { url: 'data:video/mp4;base64,AAAA' } },
      { inlineData: { mimeType: 'video/mp4', data: 'AAAA' } },
    ],
  ])('A content part is translated for Gemini: %j.', (given, expected) => {
    expect(part(given)).toEqual(expected)
  })
})

describe('members', () => {
  it('Sampling, caps, stops, choices and log probabilities are carried over to Gemini.', () => {
    expect(
      config({
        temperature: 0.5,
        top_p: 0.9,
        top_k: 3,
        seed: 7,
        max_completion_tokens: 50,
        stop: 'END',
        n: 2,
        logprobs: true,
        top_logprobs: 3,
      }),
    ).toEqual({
      temperature: 0.5,
      topP: 0.9,
      topK: 3,
      seed: 7,
      maxOutputTokens: 50,
      stopSequences: ['END'],
      candidateCount: 2,
      responseLogprobs: true,
      logprobs: 3,
    })
    expect(config({ presence_penalty: 0, frequency_penalty: 0, n: 1, stop: ['', 'A', 'B'] })).toEqual({
      stopSequences: ['A', 'B'],
    })
    expect(config({ presence_penalty: 0.5 }, 'gemini-2.0-flash')).toEqual({ presencePenalty: 0.5 })
  })

  it("The gateway's cap wins, then the caller's, then the operator's; what is dropped is not sent.", () => {
    const defaults = { max_tokens: 9, temperature: 1 }
    const of = (json: Json, more: Partial<ProviderCall>) => sent(json, { defaults, ...more }).generationConfig
    expect(of({ max_tokens: 20 }, { outputCap: 5 })).toEqual({ maxOutputTokens: 5, temperature: 1 })
    expect(of({ max_tokens: 20 }, { drop: ['temperature'] })).toEqual({ maxOutputTokens: 20 })
    expect(of({}, {})).toEqual({ maxOutputTokens: 9, temperature: 1 })
  })

  it.each([
    ['gemini-2.5-flash', 'none', { thinkingBudget: 0 }],
    ['gemini-2.5-flash', 'minimal', { thinkingBudget: 1024, includeThoughts: true }],
    ['gemini-2.5-pro', 'high', { thinkingBudget: 24_576, includeThoughts: true }],
    ['gemini-3-flash-preview', 'minimal', { thinkingLevel: 'minimal', includeThoughts: true }],
    ['gemini-3.1-pro-preview', 'minimal', { thinkingLevel: 'low', includeThoughts: true }],
    ['gemini-3-pro-preview', 'medium', { thinkingLevel: 'high', includeThoughts: true }],
    ['gemini-4-argon', 'medium', { thinkingLevel: 'medium', includeThoughts: true }],
  ])('reasoning_effort on %s is translated: %s.', (model, effort, thinking) => {
    expect(google.chat.refuses({ reasoning_effort: effort }, model)).toEqual([])
    expect(config({ reasoning_effort: effort }, model)).toEqual({ thinkingConfig: thinking })
  })

  it('Thinking may be set as for the compatible endpoint.', () => {
    const extra_body = { google: { thinking_config: { thinking_budget: 64, include_thoughts: true } } }
    expect(config({ extra_body })).toEqual({ thinkingConfig: { thinkingBudget: 64, includeThoughts: true } })
  })

  it('Response formats are carried over to Gemini.', () => {
    const schema = { type: 'object', properties: { a: { $ref: '#/$defs/x' } }, additionalProperties: false }
    expect(
      config({ response_format: { type: 'json_schema', json_schema: { name: 'x', strict: true, schema } } }),
    ).toEqual({
      responseMimeType: 'application/json',
      responseJsonSchema: schema,
    })
    expect(config({ response_format: { type: 'json_object' } })).toEqual({ responseMimeType: 'application/json' })
    expect(config({ response_format: { type: 'text' } })).toBeUndefined()
  })

  it('Tools, and which may be called, are carried over to Gemini.', () => {
    const other = { type: 'function', function: { name: 'other', description: 'Does', strict: true } }
    const of = (json: Json) => {
      const { tools, toolConfig } = sent({ tools: [TOOL, other], ...json })
      return { tools, toolConfig }
    }
    const declared = {
      functionDeclarations: [
        { name: 'look', parametersJsonSchema: TOOL.function.parameters },
        { name: 'other', description: 'Does' },
      ],
    }
    const mode = (value: Json) => ({ functionCallingConfig: value })
    expect(of({})).toEqual({ tools: [declared], toolConfig: undefined })
    expect(of({ tool_choice: 'auto' }).toolConfig).toEqual(mode({ mode: 'AUTO' }))
    expect(of({ tool_choice: 'none' }).toolConfig).toEqual(mode({ mode: 'NONE' }))
    expect(of({ tool_choice: 'required' }).toolConfig).toEqual(mode({ mode: 'ANY' }))
    const one = { type: 'function', function: { name: 'other' } }
    expect(of({ tool_choice: one }).toolConfig).toEqual(mode({ mode: 'ANY', allowedFunctionNames: ['other'] }))
    const allowed = (how: string) =>
      of({ tool_choice: { type: 'allowed_tools', allowed_tools: { mode: how, tools: [one] } } })
    expect(allowed('required').toolConfig).toEqual(mode({ mode: 'ANY', allowedFunctionNames: ['other'] }))
    expect(allowed('auto').tools).toEqual([{ functionDeclarations: [{ name: 'other', description: 'Does' }] }])
    expect(sent({ tools: [], tool_choice: 'none' })).toEqual({
      contents: [{ role: 'user', parts: [{ text: 'Hello' }] }],
    })
  })

  it("Google's own tools can be asked for in any of their names.", () => {
    expect(sent({ web_search_options: {} }).tools).toEqual([{ googleSearch: {} }])
    expect(sent({ tools: [{ type: 'code_interpreter' }, { urlContext: {} }, { google_search: {} }] }).tools).toEqual([
      { googleSearch: {} },
      { codeExecution: {} },
      { urlContext: {} },
    ])
    expect(google.chat.serverTools({ web_search_options: {} }, 'gemini-2.5-pro')).toEqual([
      { kind: 'web_search', uses: 1, addsInput: true, billedByUse: true },
    ])
    expect(google.chat.serverTools({ tools: [TOOL] }, 'gemini-2.5-pro')).toEqual([])
    const mixed = sent({ tools: [TOOL, { type: 'web_search' }] }, { model: 'gemini-3-flash-preview' })
    expect(mixed.toolConfig).toEqual({ includeServerSideToolInvocations: true })
  })

  it('Service tiers and safety settings are carried over to Gemini.', () => {
    const safety = [{ category: 'HARM_CATEGORY_HARASSMENT', threshold: 'BLOCK_NONE' }]
    const body = sent({ service_tier: 'flex', safety_settings: safety })
    expect([body.serviceTier, body.safetySettings]).toEqual(['flex', safety])
    expect(sent({ service_tier: 'auto' }).serviceTier).toBeUndefined()
    const tiers = ['flex', 'priority', 'standard', null].map((tier) => google.tierMultiplier(tier, 'gemini-2.5-pro'))
    expect(tiers).toEqual([500_000n, 1_800_000n, 1_000_000n, 1_000_000n])
  })
})

describe("Google's OpenAI-compatible endpoint", () => {
  const apiBase = 'https://generativelanguage.googleapis.com/v1beta/openai'

  it("Google's OpenAI-compatible endpoint gets the bytes as they are, less what it does not know.", () => {
    const { path, headers, body } = prepared({ user: 'u', prompt_cache_key: 'k', seed: 1 }, { apiBase })
    expect(path).toBe('/v1beta/openai/chat/completions')
    expect(headers.authorization).toBe('Bearer AIzaSecret')
    expect(body.toString()).toBe('{"model":"gemini-2.5-flash","messages":[{"role":"user","content":"Hello"}],"seed":1}')
  })

  it("Google's OpenAI-compatible endpoint gets its signatures back where it gave them.", () => {
    const messages = [
      USER,
      { role: 'assistant', tool_calls: [call('c1__gsig_AAAA', 'look', '{}')] },
      { role: 'tool', tool_call_id: 'c1__gsig_AAAA', content: 'x' },
    ]
    const extra = { extra_content: { google: { thought_signature: 'AAAA' } } }
    expect(sent({ messages }, { apiBase }).messages).toEqual([
      USER,
      { role: 'assistant', tool_calls: [call('c1', 'look', '{}', extra)] },
      { role: 'tool', tool_call_id: 'c1', content: 'x' },
    ])
  })
})
