import { deflateSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { pdfPages } from '../../../providers/media/pdf-pages.ts'
import { join, objectStream, type PdfObjects, pages, pdf } from './build.ts'
import { PDFS } from './crafted.ts'

describe('the pages of a PDF', () => {
  test.for(PDFS)('The pages of a PDF are proved or unknown for $name', ({ bytes, pages: expected }) => {
    expect(pdfPages(bytes)?.count ?? null).toBe(expected)
  })

  test('The pages of a PDF are counted in trees of any shape, packed or not.', () => {
    const shape = fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 12 })
    fc.assert(
      fc.property(shape, fc.boolean(), (branches, isPacked) => {
        let next = 100
        const objects: [number, string][] = [[1, '<< /Type /Catalog /Pages 2 0 R >>']]
        const nodes = branches.map((count) => {
          const leaves = Array.from({ length: count }, () => next++)
          for (const leaf of leaves) objects.push([leaf, '<< /Type /Page >>'])
          const node = next++
          objects.push([node, `<</Type/Pages/Count ${count}/Kids[${leaves.map((leaf) => `${leaf} 0 R`).join(' ')}]>>`])
          return node
        })
        objects.push([2, `<< /Kids [ ${nodes.map((node) => `${node} 0 R`).join(' ')} ] /Type /Pages >>`])
        const file = isPacked ? pdf([], { streams: [objectStream(9_999, objects)] }) : pdf(objects)
        expect(pdfPages(file)?.count).toBe(branches.reduce((sum, count) => sum + count, 0))
      }),
    )
  })

  test('The pages of a PDF are read from damaged bytes without an error.', () => {
    const changes = fc.array(fc.tuple(fc.nat(2_000), fc.nat(255)), { maxLength: 8 })
    fc.assert(
      fc.property(fc.constantFrom(...PDFS), changes, ({ bytes }, list) => {
        const copy = Buffer.from(bytes)
        for (const [at, value] of list) if (at < copy.length) copy[at] = value
        expect(() => pdfPages(copy)).not.toThrow()
      }),
    )
  })

  test.for([
    ['objects that never end', '1 0 obj <<'],
    ['lists in lists', '1 0 obj << /Kids [['],
    ['strings that never end', '1 0 obj << /A ('],
    ['names with signs', '/a#b'],
    ['small objects', '1 0 obj<<>>endobj '],
  ])('Counting the pages of a PDF takes time linear in the bytes for %s.', ([, piece]) => {
    const bytes = Buffer.from(piece!.repeat(Math.ceil(2_000_000 / piece!.length)))
    const started = performance.now()
    expect(pdfPages(bytes)).toBeNull()
    expect(performance.now() - started).toBeLessThan(5_000)
  })

  test('The pages of a PDF of a thousand are counted too.', () => {
    const many: PdfObjects = pages(1_000)
    expect(pdfPages(pdf(many))?.count).toBe(1_000)
    expect(pdfPages(pdf([], { streams: [objectStream(9_999, many)] }))?.count).toBe(1_000)
  })
})

test('The files of a request share what they may inflate to beyond four times their size.', () => {
  const text = `1 0 <</A 1>>${' '.repeat(8_000_000)}`
  const objects = deflateSync(text, { level: 9 })
  const dictionary = `<< /Type /ObjStm /N 1 /First 4 /Filter /FlateDecode /Length ${objects.length} >>`
  const stream = join([Buffer.from(`9 0 obj\n${dictionary}\nstream\n`), objects, Buffer.from('\nendstream\nendobj\n')])
  const bytes = pdf(pages(3), { streams: [stream] })
  const budget = { left: 20_000_000 }
  expect(pdfPages(bytes, budget)?.count).toBe(3)
  expect(budget.left).toBe(20_000_000 - (text.length - 4 * bytes.length))
  expect(pdfPages(bytes, budget)?.count).toBe(3)
  expect(pdfPages(bytes, budget)).toBeNull()
  expect(budget.left).toBe(0)
  expect(pdfPages(pdf(pages(3)), budget)?.count).toBe(3)
})
