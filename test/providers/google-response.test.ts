import { describe, expect, it } from 'vitest'
import { google } from '../../providers/google.ts'
import type { ProviderResponse, ResponseContext } from '../../providers/provider.ts'
import { NO_USAGE } from '../../providers/usage.ts'
import { parseRequest } from '../../src/endpoints/chat-completions/read-request.ts'

type Json = Record<string, unknown>

const request = parseRequest(Buffer.from('{"model":"gemini","messages":[{"role":"user","content":"Hi"}]}'))
const CONTEXT: ResponseContext = {
  request,
  model: 'gemini-2.5-flash',
  choices: 1,
  callId: '01234567-89ab-4cde-8f01-23456789abcd',
  created: 1_700_000_000,
}

function read(body: unknown, context = CONTEXT): ProviderResponse {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const answer = google.chat.readResponse(Buffer.from(text), context)
  if (answer === null || 'kind' in answer) throw new Error(`no answer: ${JSON.stringify(answer)}`)
  return answer
}

const shown = (body: unknown) => JSON.parse(read(body).body('0.25', {}).toString()) as { choices: Json[] } & Json
const choiceOf = (candidate: Json) => shown({ candidates: [candidate], usageMetadata: USAGE }).choices[0]
const USAGE = { promptTokenCount: 5, candidatesTokenCount: 3, thoughtsTokenCount: 2, totalTokenCount: 10 }
const message = (parts: Json[], more: Json = {}) =>
  choiceOf({ content: { parts, role: 'model' }, finishReason: 'STOP', ...more })?.message

describe('a whole answer', () => {
  it('A whole response becomes a chat completion with our price.', () => {
    const body = {
      candidates: [
        { content: { parts: [{ text: 'Hel' }, { text: 'lo' }], role: 'model' }, finishReason: 'STOP', index: 0 },
      ],
      usageMetadata: { ...USAGE, serviceTier: 'flex' },
      modelVersion: 'models/gemini-2.5-flash-001',
      responseId: 'abc',
    }
    expect(shown(body)).toEqual({
      id: 'abc',
      object: 'chat.completion',
      created: 1_700_000_000,
      model: 'gemini',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'Hello', refusal: null },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
      usage: {
        prompt_tokens: 5,
        completion_tokens: 5,
        total_tokens: 10,
        prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
        completion_tokens_details: {
          reasoning_tokens: 2,
          audio_tokens: 0,
          accepted_prediction_tokens: 0,
          rejected_prediction_tokens: 0,
        },
        cost: 0.25,
      },
    })
    const { reading, finishReasons, outputText } = read(body)
    expect(reading).toEqual({
      usage: { ...NO_USAGE, input: 5, output: 5, reasoning: 2, toolFees: {} },
      consistent: true,
      model: 'gemini-2.5-flash-001',
      serviceTier: 'flex',
      cost: null,
      byModel: null,
    })
    expect([finishReasons, outputText()]).toEqual([['stop'], ''])
  })

  it('A whole response without usage is counted, and shows what was counted.', () => {
    const body = {
      candidates: [{ content: { parts: [{ text: 'T', thought: true }, { text: 'Hi' }] }, finishReason: 'STOP' }],
    }
    const answer = read(body)
    expect([answer.reading.usage, answer.outputText()]).toEqual([null, 'THi'])
    expect(JSON.parse(answer.body('1', { total_tokens: 9 }).toString()).usage).toEqual({ total_tokens: 9, cost: 1 })
    expect(JSON.parse(answer.body(null, { total_tokens: 9 }).toString()).usage).toEqual({ total_tokens: 9 })
  })

  it('Tool calls have unique ids with their signature, and digits as written, and STOP means tool_calls.', () => {
    const text = `{"candidates":[{"content":{"parts":[{"text":"Hm","thought":true},{"functionCall":{"name":"a","args":{"n":1.0,"id":9007199254740993}},"thoughtSignature":"Ab+/"},{"functionCall":{"name":"b"}},{"functionCall":{"name":"c","args":{},"id":"own-1"}}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":1}}`
    const { choices } = shown(text)
    expect(choices[0]?.finish_reason).toBe('tool_calls')
    expect(choices[0]?.message).toEqual({
      role: 'assistant',
      content: null,
      refusal: null,
      reasoning_content: 'Hm',
      tool_calls: [
        {
          id: 'call_0123456789ab4cde8f012345_0__gsig_Ab-_',
          type: 'function',
          function: { name: 'a', arguments: '{"n":1.0,"id":9007199254740993}' },
          extra_content: { google: { thought_signature: 'Ab+/' } },
        },
        { id: 'call_0123456789ab4cde8f012345_1', type: 'function', function: { name: 'b', arguments: '{}' } },
        { id: 'own-1', type: 'function', function: { name: 'c', arguments: '{}' } },
      ],
    })
  })

  it.each([
    ['STOP', 'stop', null],
    ['MAX_TOKENS', 'length', null],
    ['SAFETY', 'content_filter', null],
    ['RECITATION', 'content_filter', null],
    ['PROHIBITED_CONTENT', 'content_filter', null],
    ['MALFORMED_FUNCTION_CALL', 'stop', 'The model gave no answer (MALFORMED_FUNCTION_CALL): print(x'],
    ['OTHER', 'stop', 'The model gave no answer (OTHER): print(x'],
  ])('The finish reason %s is %s.', (native, reason, refusal) => {
    const choice = choiceOf({ content: {}, finishReason: native, finishMessage: 'print(x' })
    expect([choice?.finish_reason, choice?.message]).toEqual([reason, { role: 'assistant', content: null, refusal }])
    const isExact = native === 'STOP' || native === 'MAX_TOKENS'
    expect(choice?.native_finish_reason).toBe(isExact ? undefined : native)
  })

  it('A blocked prompt is a response that was filtered, and is billed.', () => {
    const answer = read({
      promptFeedback: { blockReason: 'SAFETY' },
      usageMetadata: { promptTokenCount: 9, totalTokenCount: 9 },
    })
    expect([answer.finishReasons, answer.reading.usage?.input]).toEqual([['content_filter'], 9])
    expect(JSON.parse(answer.body('0', {}).toString()).choices[0].message.content).toBeNull()
  })

  it('Signatures of text, pictures, and what Google ran are kept in extra members.', () => {
    const ran = { codeExecutionResult: { outcome: 'OUTCOME_OK', output: '1' } }
    expect(
      message([
        ran,
        { text: 'One', thoughtSignature: 'AAAA' },
        { inlineData: { mimeType: 'image/png', data: 'QUJD' }, thoughtSignature: 'BBBB' },
      ]),
    ).toEqual({
      role: 'assistant',
      content: 'One',
      refusal: null,
      images: [
        {
          index: 0,
          type: 'image_url',
          image_url: { url: 'data:image/png;base64,QUJD' },
          extra_content: { google: { thought_signature: 'BBBB' } },
        },
      ],
      extra_content: { google: { thought_signature: 'AAAA', parts: [{ index: 0, part: ran }] } },
    })
  })

  it('Grounding becomes annotations, in characters, and searches are counted by generation.', () => {
    const groundingMetadata = {
      webSearchQueries: ['a', 'b', 'a', ''],
      groundingChunks: [{ web: { uri: 'https://x.example', title: 'X' } }],
      groundingSupports: [{ segment: { startIndex: 6, endIndex: 11 }, groundingChunkIndices: [0, 7] }],
    }
    const candidate = { content: { parts: [{ text: 'Ünï – ok.' }] }, finishReason: 'STOP', groundingMetadata }
    const body = (modelVersion: string) => ({ candidates: [candidate], usageMetadata: USAGE, modelVersion })
    const citation = { url: 'https://x.example', title: 'X', start_index: 4, end_index: 7 }
    expect((shown(body('gemini-2.5-pro')).choices[0]!.message as Json).annotations).toEqual([
      { type: 'url_citation', url_citation: citation },
    ])
    expect(read(body('gemini-2.5-pro')).reading.usage?.toolFees).toEqual({ web_search: 1 })
    expect(read(body('gemini-3-flash-preview')).reading.usage?.toolFees).toEqual({ web_search: 2 })
  })

  it('Log probabilities are carried over from Gemini.', () => {
    const logprobsResult = {
      chosenCandidates: [{ token: 'é', logProbability: -0.5 }],
      topCandidates: [{ candidates: [{ token: 'a', logProbability: -1 }] }],
    }
    expect(choiceOf({ content: { parts: [{ text: 'é' }] }, finishReason: 'STOP', logprobsResult })?.logprobs).toEqual({
      content: [
        { token: 'é', logprob: -0.5, bytes: [195, 169], top_logprobs: [{ token: 'a', logprob: -1, bytes: [97] }] },
      ],
      refusal: null,
    })
  })

  it('Several candidates are several choices.', () => {
    const candidate = (index: number, parts: Json[]) => ({ index, content: { parts }, finishReason: 'STOP' })
    const call = { functionCall: { name: 'a', args: {} } }
    const { choices } = shown({ candidates: [candidate(0, [call]), candidate(1, [call])], usageMetadata: USAGE })
    const ids = choices.map(({ message: said }) => ((said as Json).tool_calls as Json[])[0]?.id)
    expect(choices.map(({ index }) => index)).toEqual([0, 1])
    expect(new Set(ids).size).toBe(2)
  })

  it('A whole response says when text was billed without a token for it.', () => {
    const body = { candidates: [{ content: { parts: [{ text: 'Hi' }] }, finishReason: 'STOP' }] }
    expect(read({ ...body, usageMetadata: { promptTokenCount: 4, totalTokenCount: 4 } }).reading.consistent).toBe(false)
  })

  it('A body that is not a response does not count as one, and an error is read as an error.', () => {
    for (const body of ['', 'null', '[]', '{}', '{"candidates":[]}', '<html>']) {
      expect(google.chat.readResponse(Buffer.from(body), CONTEXT)).toBeNull()
    }
    const error = { error: { code: 503, message: 'The model is overloaded.', status: 'UNAVAILABLE' } }
    expect(google.chat.readResponse(Buffer.from(JSON.stringify(error)), CONTEXT)).toMatchObject({ kind: 'overloaded' })
  })
})

describe("an answer of Google's OpenAI-compatible endpoint", () => {
  const answer = (choice: Json) =>
    read({
      object: 'chat.completion',
      model: 'gemini-2.5-pro',
      choices: [choice],
      usage: { prompt_tokens: 35, completion_tokens: 12, total_tokens: 109 },
    })

  it("A response of Google's OpenAI-compatible endpoint bills thoughts that stand only in the total.", () => {
    const { reading } = answer({ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'x' } })
    expect([reading.usage?.input, reading.usage?.output, reading.consistent]).toEqual([35, 74, true])
  })

  it("A response of Google's OpenAI-compatible endpoint gives calls without an id one, with the signature of the message.", () => {
    const calls = ['a', 'b'].map((name) => ({ id: '', type: 'function', function: { name, arguments: '{}' } }))
    const said = { role: 'assistant', tool_calls: calls, extra_content: { google: { thought_signature: 'AAAA' } } }
    const { finishReasons, body } = answer({ index: 0, finish_reason: 'stop', message: said })
    expect(finishReasons).toEqual(['tool_calls'])
    const [choice] = JSON.parse(body('1', {}).toString()).choices
    expect(choice.finish_reason).toBe('tool_calls')
    expect(choice.message.tool_calls.map(({ id }: Json) => id)).toEqual([
      'call_0123456789ab4cde8f012345_0__gsig_AAAA',
      'call_0123456789ab4cde8f012345_1',
    ])
  })
})
