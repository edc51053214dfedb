import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type Change,
  changeMembers,
  countParsed,
  duplicateMember,
  objectMembers,
} from '../../providers/json-members.ts'
import { createJsonScan } from '../../src/http/json-scan.ts'

const change = (text: string, changes: readonly Change[]): string =>
  changeMembers(Buffer.from(text), objectMembers(Buffer.from(text)), changes).toString()

describe('members of an object', () => {
  test('Members of an object are found with their bytes, in order.', () => {
    const text = Buffer.from(' { "a" : 1.0 ,\n"\\u0062":[{"}":"]\\""}], "ü": "né" } ')
    const shown = objectMembers(text).map(({ key, start, valueStart, end }) => [
      key,
      text.toString('utf8', start, end),
      text.toString('utf8', valueStart, end),
    ])
    expect(shown).toEqual([
      ['a', '"a" : 1.0', '1.0'],
      ['b', '"\\u0062":[{"}":"]\\""}]', '[{"}":"]\\""}]'],
      ['ü', '"ü": "né"', '"né"'],
    ])
  })

  test.each(['{}', ' { } ', '{\n}'])('No members are found in %j.', (text) => {
    expect(objectMembers(Buffer.from(text))).toEqual([])
  })

  test('Members of an object are found in an object inside the text.', () => {
    const text = Buffer.from('{"usage": {"cost": 1}}')
    expect(objectMembers(text, 10).map(({ key }) => key)).toEqual(['cost'])
  })

  test.each([
    ['{"model":"a","model":"b"}', ['model']],
    ['{"model":"a","\\u006dodel":"b"}', ['model']],
    ['{"a":1,"b":{"c":1,"c":2},"a":3}', ['b', 'c']],
    ['{"a":{"b":1},"b":2}', null],
    ['[{"a":1},{"a":1},[0,{"b":"a:","c":",","b" : 2}]]', [2, 1, 'b']],
    ['{"a":[{"x":"\\"a\\":"}],"b":{"x":{}},"c":"}{]["}', null],
    ['{"constructor":1,"__proto__":2}', null],
    ['{"__proto__":1,"__proto__":2}', ['__proto__']],
    ['{"":0,"":1}', ['']],
  ])('Members of an object that stand twice are reported, at any depth: %s.', (text, path) => {
    expect(duplicateMember(Buffer.from(text))).toEqual(path)
    // The cheap sign of it: fewer members were parsed than stand in the text.
    const scan = createJsonScan({ depth: 9, values: 99 }, (limit) => expect.fail(limit))
    scan.push(Buffer.from(text))
    const parsed = countParsed(JSON.parse(text))
    expect(scan.members !== parsed).toBe(path !== null)
  })
})

describe('changing members', () => {
  test.each<[string, string, Change[], string]>([
    ['a value', '{ "a": 1.0,\n  "b": 2 }\n', [{ key: 'a', value: '7' }], '{ "a": 7,\n  "b": 2 }\n'],
    ['by adding', '{"a":1.0 }', [{ key: 'b', value: 'true' }], '{"a":1.0,"b":true }'],
    ['by adding to none', '{ }', [{ key: 'b', value: '{}' }], '{"b":{} }'],
    ['by removing the first', '{ "a": 1, "b": 2 }', [{ key: 'a', remove: true }], '{ "b": 2 }'],
    ['by removing the last', '{ "a": 1, "b": 2 }', [{ key: 'b', remove: true }], '{ "a": 1 }'],
    ['by removing one between', '{"a":1, "b":2, "c":3}', [{ key: 'b', remove: true }], '{"a":1, "c":3}'],
    ['by removing all', '{"a":1,"b":2}', ['a', 'b'].map((key) => ({ key, remove: true })), '{}'],
    ['by removing what is not there', '{"a":1}', [{ key: 'x', remove: true }], '{"a":1}'],
    ['named with escapes', '{"\\u0061":1}', [{ key: 'a', value: '2' }], '{"\\u0061":2}'],
    [
      'next to numbers no float holds',
      '{"seed":9007199254740993,"x":1e400,"y":-0.10,"n":1}',
      [{ key: 'n', value: '2' }],
      '{"seed":9007199254740993,"x":1e400,"y":-0.10,"n":2}',
    ],
  ])('A change of %s leaves every other byte.', (_, before, changes, after) => {
    expect(change(before, changes)).toBe(after)
  })

  test('A change of members holds for any object, however it is written.', () => {
    fc.assert(
      fc.property(anyObject, fc.array(anyChange, { maxLength: 4 }), (members, wanted) => {
        const changes = [...new Map(wanted.map((one) => [one.key, one])).values()]
        const text = write(members)
        const found = objectMembers(Buffer.from(text))
        expect(found.map(({ key }) => key)).toEqual(members.map(({ key }) => key))
        const after = change(text, changes)
        expect(Object.entries(JSON.parse(after)).sort(byKey)).toEqual(expected(members, changes).sort(byKey))
        for (const { key, space, name, value } of members) {
          const changed = changes.some((one) => one.key === key)
          if (!changed) expect(after).toContain(`${name}${space}:${space}${value}`)
        }
        expect(change(text, [])).toBe(text)
      }),
      { numRuns: 300 },
    )
  })
})

interface Written {
  key: string
  /** The key as it is written, quotes and escapes included. */
  name: string
  space: string
  value: string
}

const KEYS = ['model', 'stream', 'n', 'a"b', 'c\\', '}{', 'ключ', '__proto__x', '', 'usage']
const anyText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom('"}', '\\"', '{[', '\\\\', 'a\nb', '\u2028', '😀'),
)
const anyNumber = fc.constantFrom('1.0', '-0', '1e400', '9007199254740993', '0.1e-7', '18446744073709551615')
const anyValue: fc.Arbitrary<string> = fc.oneof(
  anyNumber,
  fc.constantFrom('null', 'true', 'false', '[ ]', '{ }'),
  anyText.map((text) => JSON.stringify(text)),
  fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.stringify(value, null, 1)),
  fc.array(anyNumber).map((numbers) => `[ ${numbers.join(' ,\t')}]`),
)
const anyChange: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ key: fc.constantFrom(...KEYS), value: fc.constantFrom('1', '"x"', '{"a":[1]}', 'null') }),
  fc.record({ key: fc.constantFrom(...KEYS), remove: fc.constant(true as const) }),
)
const anyObject = fc
  .uniqueArray(
    fc.record({
      key: fc.constantFrom(...KEYS),
      space: fc.constantFrom('', ' ', '\n', '\t \r\n'),
      escaped: fc.boolean(),
      value: anyValue,
    }),
    { selector: ({ key }) => key },
  )
  .map((members) =>
    members.map(({ key, space, escaped, value }) => ({
      key,
      name: escaped ? `"${[...key].map(unicodeEscape).join('')}"` : JSON.stringify(key),
      space,
      value,
    })),
  )

function unicodeEscape(letter: string): string {
  return `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`
}

function write(members: readonly Written[]): string {
  return `{${members.map(({ name, space, value }) => `${space}${name}${space}:${space}${value}${space}`).join(',')} } `
}

function expected(members: readonly Written[], changes: readonly Change[]): [string, unknown][] {
  const values = new Map(members.map(({ key, value }) => [key, value]))
  for (const one of changes) {
    if ('remove' in one) values.delete(one.key)
    else values.set(one.key, one.value)
  }
  return [...values].map(([key, value]) => [key, JSON.parse(value)])
}

function byKey([a]: [string, unknown], [b]: [string, unknown]): number {
  return a < b ? -1 : 1
}
