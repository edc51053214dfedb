/** A JSON text is looked over as it arrives, however it is cut: what is counted is what JSON.parse would build. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { countParsed, stringEnd } from '../../providers/json-members.ts'
import { createJsonScan, type JsonLimits } from '../../src/http/json-scan.ts'

const NONE = { depth: 1_000, values: 1_000_000 }

/** What stopped it and how many bytes had been seen, or its count of members. */
function scan(text: Buffer, limits: JsonLimits, cut = text.length): number | string {
  const scanner = createJsonScan(limits, (limit) => {
    throw new Error(limit)
  })
  for (let at = 0; at < text.length; at += cut) {
    try {
      scanner.push(text.subarray(at, at + cut))
    } catch (error) {
      return `${(error as Error).message} at ${at}`
    }
  }
  return scanner.members
}

/** Elements and members, an empty list or object counting as one. */
function valuesOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  const own = Object.values(value)
  return Math.max(own.length, 1) + own.reduce((sum: number, one) => sum + valuesOf(one), 0)
}

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  return 1 + Math.max(0, ...Object.values(value).map(depthOf))
}

const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom('"', '\\', '\\"', '\\\\'.repeat(70), '{[:,', 'x'.repeat(200)),
)
const json = fc.json({ maxDepth: 5, stringUnit: 'binary' })

describe('any JSON text, cut anywhere', () => {
  test('Any JSON text, cut anywhere, is counted to have as many members as a parser finds.', () => {
    fc.assert(
      fc.property(fc.dictionary(text, text), fc.integer({ min: 1, max: 90 }), (object, cut) => {
        const written = Buffer.from(JSON.stringify(object))
        expect(scan(written, NONE, cut)).toBe(Object.keys(object).length)
      }),
    )
  })

  test('Any JSON text, cut anywhere, passes a limit that it just reaches, and not one below.', () => {
    fc.assert(
      fc.property(json, fc.integer({ min: 1, max: 90 }), (written, cut) => {
        const value: unknown = JSON.parse(written)
        const bytes = Buffer.from(JSON.stringify(value))
        const [values, depth] = [valuesOf(value), depthOf(value)]
        expect(scan(bytes, { values, depth }, cut)).toBe(countParsed(value))
        if (values > 0) expect(scan(bytes, { values: values - 1, depth }, cut)).toMatch(/^values at/)
        if (depth > 0) expect(scan(bytes, { values, depth: depth - 1 }, cut)).toMatch(/^depth at/)
      }),
    )
  })
})

test.for([
  { name: 'lists in lists', bytes: '['.repeat(2_000), stops: 'depth at 1000' },
  { name: 'objects in objects', bytes: '{"a":'.repeat(2_000), stops: 'depth at 5000' },
  { name: 'elements', bytes: `[${'0,'.repeat(1_000_001)}`, stops: 'values at 2000000' },
  { name: 'members', bytes: `{${'"a":1,'.repeat(1_000_001)}`, stops: 'values at 6000000' },
  { name: 'empty lists', bytes: `[${'[],'.repeat(500_001)}`, stops: 'values at 1500000' },
])('The count of members stops at the byte that is too much: $name', ({ bytes, stops }) => {
  expect(scan(Buffer.from(bytes), NONE, 10)).toBe(stops)
})

test('A string ends at the first quote that is not escaped, however far.', () => {
  fc.assert(
    fc.property(fc.array(text), (parts) => {
      const string = Buffer.from(JSON.stringify(parts.join('')))
      expect(stringEnd(Buffer.concat([string, Buffer.from(':"x"')]), 0)).toBe(string.length)
    }),
  )
})
