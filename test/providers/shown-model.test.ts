/** The name that callers see is the one they asked for; all other bytes stay as they came. */
import { describe, expect, test } from 'vitest'
import { createShownModel } from '../../providers/shown-model.ts'

const frame = (model: string, text: string) =>
  Buffer.from(
    `{"id":"c1","object":"chat.completion.chunk","created":1,"model":"${model}","choices":[{"delta":{"content":"${text}"}}]}`,
  )

describe('A frame that was not read', () => {
  test('A frame that was not read shows the name that was asked for, frame after frame.', () => {
    const { rename } = createShownModel('mine')
    for (const text of ['a', 'b', 'model', '\\"model\\":\\"gpt-4o\\"'])
      expect(rename(frame('gpt-4o', text)).toString()).toBe(frame('mine', text).toString())
  })

  test('A frame that was not read follows a provider that names another model in the middle.', () => {
    const { rename } = createShownModel('mine')
    for (const model of ['gpt-4o', 'gpt-4o-mini', 'mine', 'gpt-4o'])
      expect(rename(frame(model, 'x')).toString()).toBe(frame('mine', 'x').toString())
  })

  test.each([
    ['names what was asked for', frame('mine', 'a')],
    ['names nothing', Buffer.from('{"id":"c1","choices":[]}')],
    ['has an empty name', Buffer.from('{"id":"c1","model":"","choices":[]}')],
    ['has no text for a name', Buffer.from('{"model":7,"choices":[]}')],
    ['is no JSON', Buffer.from('{"model":"gpt-4o","choices":[')],
    ['breaks off in the name', Buffer.from('{"id":"c1","model":"gpt')],
    ['names a model inside a choice only', Buffer.from('{"choices":[{"model":"gpt-4o"}]}')],
  ])('A frame that was not read is passed on as the same bytes where it %s.', (_, payload) => {
    const { rename } = createShownModel('mine')
    expect(rename(payload)).toBe(payload)
    expect(rename(payload)).toBe(payload)
  })

  test('A frame that was not read keeps what stands inside a choice under the same name.', () => {
    const { rename } = createShownModel('mine')
    const inside = Buffer.from('{"choices":[{"model":"gpt-4o"}],"model":"gpt-4o"}')
    expect(rename(inside).toString()).toBe('{"choices":[{"model":"gpt-4o"}],"model":"mine"}')
  })

  test('A frame that was not read escapes a name as JSON does.', () => {
    expect(createShownModel('a"b').rename(frame('gpt-4o', 'x')).toString()).toBe(frame('a\\"b', 'x').toString())
  })
})

test('A frame that was read is changed only where its name is another one.', () => {
  const { changes } = createShownModel('mine')
  expect(changes('gpt-4o')).toEqual([{ key: 'model', value: '"mine"' }])
  for (const stated of ['mine', '', undefined, null, 7]) expect(changes(stated)).toEqual([])
})
