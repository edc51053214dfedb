import fc from 'fast-check'
import { expect, test } from 'vitest'
import { openai } from '../../providers/openai.ts'
import { textBytes } from '../../providers/text-bytes.ts'

const frame = (...deltas: unknown[]) =>
  Buffer.from(`data: ${JSON.stringify({ id: 'c', choices: deltas.map((delta, index) => ({ index, delta })) })}\n\n`)

test.for([
  ['content alone counts as its text', frame({ content: ' word' }), 5],
  ['an escape counts as it is written', frame({ content: '"\n' }), 4],
  ['nothing said is nothing', frame({ content: '' }), 0],
  ['an empty delta too', frame({}), 0],
  ['each choice counts', frame({ content: 'one' }, { content: 'three' }), 8],
  ['all of another delta counts', frame({ musings: 'ab' }), '"musings":"ab"'.length],
  ['a brace in a text ends nothing', frame({ content: '}"delta":{' }), 12],
  ['a delta with spaces is one', Buffer.from('data: {"choices": [{"delta" : {"content": "ab"}}]}\n\n'), 15],
  ['a frame of another form counts whole', Buffer.from('data: {"choices":[{"text":"ab"}]}\n\n'), 35],
  [
    'so does one whose text stands beside an empty delta',
    Buffer.from('data: {"choices":[{"delta":{},"text":"ab"}]}\n\n'),
    46,
  ],
  ['names that are escaped too', Buffer.from('data: {"ch\\u006fices":[{"d\\u0065lta":{"content":"ab"}}]}\n\n'), 58],
] as const)('The bytes of text in a frame are counted: %s.', ([, bytes, expected]) => {
  expect(textBytes(bytes)).toBe(expected)
})

test('A stream never shows more text than its reader says, whatever its deltas are.', () => {
  const text = fc.string({ unit: 'grapheme' })
  const delta = fc.dictionary(fc.constantFrom('content', 'reasoning', 'refusal', 'musings', 'delta', 'role'), text)
  fc.assert(
    fc.property(fc.array(delta, { maxLength: 8 }), (deltas) => {
      const request = { choices: 1 } as unknown as Parameters<typeof openai.chat.readStream>[0]['request']
      const reader = openai.chat.readStream({ request, model: 'm', choices: 1, callId: 'c', created: 0 })
      for (const one of deltas) reader.push(frame(one))
      expect(reader.shownBytes).toBeGreaterThanOrEqual(Buffer.byteLength(reader.shownText()))
    }),
  )
})
