import { describe, expect, test } from 'vitest'
import { TollgateError } from '../../src/http/errors.ts'
import { refuseHalves } from '../../src/http/well-formed.ts'

function refused(text: string): string | null {
  try {
    refuseHalves(Buffer.from(text), JSON.parse(text))
    return null
  } catch (error) {
    if (!(error instanceof TollgateError)) throw error
    expect([error.status, error.code]).toEqual([400, 'invalid_request'])
    return error.param
  }
}

describe('half of a surrogate pair is refused by its place', () => {
  test.each([
    ['a first half', '{"model":"m\\ud800"}', 'model'],
    ['a second half', '{"model":"\\udfffm"}', 'model'],
    ['in capitals', '{"a":{"b":"\\uDBFF"}}', 'a.b'],
    ['in mixed case', '{"a":"\\uDfFf"}', 'a'],
    ['two in the wrong order', '{"a":"\\udc00\\ud800"}', 'a'],
    ['a pair and a half', '{"a":"\\ud83d\\ude00\\ud83d"}', 'a'],
    ['two first halves and a second', '{"a":"\\ud83d\\ud83d\\ude00"}', 'a'],
    ['parted by a character', '{"a":"\\ud83d \\ude00"}', 'a'],
    ['in a list', '{"messages":[{},{"content":["x","\\ud800"]}]}', 'messages[1].content[1]'],
    ['in a name', '{"a":{"x\\ud800":1}}', 'a.x\\ud800'],
    ['in a name above a good text', '{"a":[{"\\udead":"text"}]}', 'a[0].\\udead'],
    ['beside an escaped backslash', '{"a":"\\\\\\ud800"}', 'a'],
  ])('Half of a surrogate pair is refused by its place: %s.', (_, text, place) => {
    expect(refused(text)).toBe(place)
  })
})

test.each([
  ['a pair as escapes', '{"a":"\\ud83d\\ude00","\\ud83d\\ude00":1}'],
  ['a pair in mixed case', '{"a":"\\uD83D\\uDe00"}'],
  ['a pair as it is', '{"a":"😀"}'],
  ['a backslash and letters', '{"a":"\\\\ud800"}'],
  ['Hangul, which begins with d too', '{"a":"\\ud7a3"}'],
  ['no text at all', '{"a":[1,null,true,{}]}'],
])('Well-formed text is accepted: %s.', (_, text) => {
  expect(refused(text)).toBeNull()
})
