import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readPlainFrame } from '../../providers/google/plain-frame.ts'
import { google } from '../../providers/google.ts'
import { parseRequest } from '../../src/endpoints/chat-completions/read-request.ts'

type Json = Record<string, unknown>

const USAGE = '{"promptTokenCount": 7,"candidatesTokenCount": 3,"totalTokenCount": 10}'

/** A frame as Google's servers space it. */
function frame(part: string, usage = USAGE): string {
  const candidates = `[{"content": {"parts": [{${part}}],"role": "model"},"index": 0}]`
  return `{"candidates": ${candidates},"usageMetadata": ${usage},"modelVersion": "gemini-2.5-flash","responseId": "aB-1_x"}`
}

/** What the same frame says when it is parsed. */
function parsed(text: string): { part: unknown; usage: unknown; model: unknown; id: unknown } {
  const json = JSON.parse(text) as Json & { candidates: { content: { parts: unknown[] } }[] }
  const part = json.candidates[0]?.content.parts[0]
  return { part, usage: json.usageMetadata, model: json.modelVersion, id: json.responseId }
}

function read(text: string): ReturnType<typeof parsed> | null {
  const plain = readPlainFrame(text)
  if (plain === null) return null
  const { candidates, modelVersion, responseId } = plain.chunk as Json & {
    candidates: { content: { parts: unknown[] } }[]
  }
  const part = candidates[0]?.content.parts[0]
  return { part, usage: JSON.parse(plain.usage), model: modelVersion, id: responseId }
}

describe('a plain frame', () => {
  it('A plain frame is read as it would be parsed, whatever its text is.', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.boolean(), (text, thought) => {
        const whole = frame(`"text": ${JSON.stringify(text)}${thought ? ',"thought": true' : ''}`)
        expect(read(whole)).toEqual(parsed(whole))
      }),
    )
  })

  it.each([
    ['{"promptTokenCount": 7,"totalTokenCount": 90,"thoughtsTokenCount": 83}', false],
    ['{"promptTokenCount": 0,"candidatesTokenCount": 1}', true],
    ['{"promptTokenCount": 7,"candidatesTokenCount": 3,"cachedContentTokenCount": 2,"serviceTier": "standard"}', true],
    [
      '{"promptTokenCount": 7,"candidatesTokenCount": 3,"promptTokensDetails": [{"modality": "TEXT","tokenCount": 6},{"modality": "AUDIO","tokenCount": 1}]}',
      true,
    ],
    ['{"promptTokenCount":7,"candidatesTokenCount":3,"trafficType":"ON_DEMAND"}', true],
  ])('A plain frame keeps its usage: %s.', (usage, covers) => {
    const whole = frame('"text": "x"', usage)
    expect(read(whole)).toEqual(parsed(whole))
    expect(readPlainFrame(whole)?.coversResponse).toBe(covers)
  })

  it('A plain frame is read without the blanks too.', () => {
    const whole = frame('"text":"x"').replaceAll(': ', ':')
    expect(read(whole)).toEqual(parsed(whole))
  })

  it.each([
    ['a call', frame('"functionCall": {"name": "x","args": {}}')],
    ['a signature', frame('"text": "x","thoughtSignature": "c2ln"')],
    ['two parts', frame('"text": "x"},{"text": "y"')],
    ['another thought', frame('"text": "x","thought": false')],
    ['an end', frame('"text": "x"').replace('"index": 0', '"finishReason": "STOP","index": 0')],
    ['another candidate', frame('"text": "x"').replace('"index": 0', '"index": 1')],
    ['a prompt without a count', frame('"text": "x"', '{"candidatesTokenCount": 3}')],
    ['a count below nothing', frame('"text": "x"', '{"promptTokenCount": -7}')],
    ['a count that is none', frame('"text": "x"', '{"promptTokenCount": 7,"candidatesTokenCount": 3.5}')],
    ['a count no number can hold', frame('"text": "x"', '{"promptTokenCount": 99999999999999999999}')],
    ['a count JSON has not', frame('"text": "x"', '{"promptTokenCount": 07}')],
    ['an unknown count', frame('"text": "x"', '{"promptTokenCount": 7,"otherTokenCount": 3}')],
    ['something behind', `${frame('"text": "x"')}{}`],
    ['no usage', frame('"text": "x"').replace(/"usageMetadata".*?\},/, '')],
    ['a line end in the text', frame('"text": "a\tb"')],
    ['an escape JSON has not', frame('"text": "a\\xb"')],
    ['half an escape', frame('"text": "a\\u12"')],
    ['a very long text', frame(`"text": "${'x'.repeat(20_000)}"`)],
    ['nothing', ''],
  ])('A frame with %s is not a plain frame.', (_, whole) => {
    expect(readPlainFrame(whole)).toBeNull()
  })
})

/** A reader's whole result, asked in the middle for what it showed so far. */
function stream(frames: readonly string[]): unknown[] {
  const json = { model: 'gemini', messages: [{ role: 'user', content: 'Hi' }], stream: true }
  const request = parseRequest(Buffer.from(JSON.stringify(json)))
  const callId = '0d1b6c2e-5c1f-4a52-8f6e-0123456789ab'
  const reader = google.chat.readStream({ request, model: 'gemini-2.5-flash', choices: 1, callId, created: 1 })
  const seen: unknown[] = []
  for (const [index, text] of frames.entries()) {
    seen.push(reader.push(Buffer.from(`data: ${text}\r\n\r\n`)).bytes?.toString(), reader.frames)
    if (index % 2 === 0) seen.push(reader.textSince(0), { ...reader.reading })
  }
  seen.push(reader.end(), { ...reader.reading }, reader.outputText(), reader.finishReasons)
  return [...seen, reader.usageFrame('0.1', {}).toString()]
}

describe('a stream of plain frames', () => {
  const usages = fc.record({ prompt: fc.nat(99), answer: fc.nat(3), thoughts: fc.nat(50), tier: fc.boolean() })
  const frames = fc.array(fc.record({ text: fc.string(), thought: fc.boolean(), usage: usages, ends: fc.boolean() }), {
    maxLength: 6,
  })

  it('A stream of plain frames says the same as one of frames that have to be parsed.', () => {
    fc.assert(
      fc.property(frames, (list) => {
        const texts = list.map(({ text, thought, usage: { prompt, answer, thoughts, tier }, ends }) => {
          const counts = [
            `"promptTokenCount": ${prompt}`,
            ...(answer === 0 ? [] : [`"candidatesTokenCount": ${answer}`]),
            `"thoughtsTokenCount": ${thoughts}`,
            ...(tier ? ['"serviceTier": "flex"'] : []),
          ]
          const plain = frame(
            `"text": ${JSON.stringify(text)}${thought ? ',"thought": true' : ''}`,
            `{${counts.join(',')}}`,
          )
          return ends ? plain.replace('"index": 0', '"finishReason": "STOP","index": 0') : plain
        })
        // The same JSON, not in the common form.
        expect(stream(texts)).toEqual(stream(texts.map((text) => text.replace('{', '{ '))))
      }),
    )
  })
})
