/**
 * Finds the objects of a PDF that matter for its pages: nodes of trees (`/Kids`), what points to one (`/Pages`), and streams of
 * compressed objects, which are inflated and searched too. Strict: of what is written in a way that readers may take differently, the
 * scan says no as a whole.
 */
import { hasPdfName, hidesPdfName, type PdfValues, pdfNamePlaces, readPdfDictionary } from './pdf-dictionary.ts'
import { createPdfInflate } from './pdf-inflate.ts'
import { createPdfNodes, type PdfNodes } from './pdf-nodes.ts'

export interface PdfScan extends Pick<PdfNodes, 'kids' | 'counts' | 'roots'> {
  /** False: the file can't be read with certainty. */
  run(): boolean
  /** What a page usually has of text, in bytes of content streams as if none was compressed. Roughly: nothing is proved by it. */
  readonly content: number
  /** Bytes of streams of objects. */
  readonly inflated: number
}

/** Objects in a file, and streams of them, beyond which nobody counts. A thousand pages are some 20 000 objects in 200 streams. */
const OBJECTS_MAX = 100_000
const STREAMS_MAX = 2_000
/** To look at an object costs as much as to read so many bytes. */
const OBJECT_BYTES = 16
/** Of the two numbers by which a stream of objects finds one of them. */
const HEAD_BYTES = 32

/** Streams of images, fonts, colours, tables and the like. */
const OTHER_CONTENT =
  /\/(?:Image|Length1|ObjStm|XRef|Metadata|XML|FunctionType|ShadingType|Alternate|Type1C|CIDFontType0C|OpenType|EmbeddedFile)\b/
/** Of text on a page, compressed. */
const USUAL_RATIO = 3

export function createPdfScan(bytes: Buffer, inflatedMax: number): PdfScan {
  const { kids, counts, roots, addNode, addRoots } = createPdfNodes()
  const packed = createPdfInflate(bytes, inflatedMax)
  const pages = createPageContent()
  let streams = 0

  function run(): boolean {
    const text = bytes.toString('latin1')
    if (hidesPdfName(text) || hasPdfName(text, 'Encrypt')) return false
    const seen = new Set<number>()
    let work = text.length + 65_536
    let objects = 0
    for (const { id, at } of headers(text)) {
      objects++
      const dictionary = readPdfDictionary(text, at)
      work -= dictionary.end - at + OBJECT_BYTES
      if (work < 0 || objects > OBJECTS_MAX) return false
      if (dictionary.values === null) continue
      for (const place of dictionary.places) seen.add(place)
      pages.add(text, at, dictionary.end)
      if (!addNode(id, dictionary.values) || !addStream(text, dictionary.values, dictionary.end)) return false
    }
    return addRoots(text) && isKnown(text, 'Kids', seen) && isKnown(text, 'First', seen)
  }

  /** A stream with `/N` and `/First` may be read as compressed objects, whatever type it says it is. */
  function addStream(text: string, values: PdfValues, end: number): boolean {
    if (values.First === undefined || values.N === undefined) return true
    const next = text.slice(end, end + 64)
    const start = /^\s*stream\r?\n/.exec(next)
    if (start === null) return !/^\s*(?:%|stream)/.test(next)
    const filter = (values.Filter ?? '').replace(/[[\]\s]/g, '')
    const isPlain =
      /^\s*(?:null\s*)?$/.test(values.DecodeParms ?? '') && values.DP === undefined && values.F === undefined
    streams++
    if (filter !== '/FlateDecode' || !isPlain || streams > STREAMS_MAX) return false
    const content = packed.inflate(end + start[0].length)
    return content !== null && readObjects(content, Number(values.N), Number(values.First))
  }

  /** Numbers and places of the objects, then the objects, without a word between them. */
  function readObjects(text: string, count: number, first: number): boolean {
    if (!(count >= 0 && first >= 0 && first <= text.length) || hidesPdfName(text)) return false
    if (count > OBJECTS_MAX || first > count * HEAD_BYTES + 1_024) return false
    const head = text.slice(0, first).trim().split(/\s+/).map(Number)
    if (count > 0 && (head.some(Number.isNaN) || head.length < 2 * count)) return false
    const seen = new Set<number>()
    let work = text.length + 65_536
    for (let index = 0; index < count; index++) {
      const at = first + (head[2 * index + 1] ?? 0)
      const dictionary = readPdfDictionary(text, at)
      work -= dictionary.end - at + OBJECT_BYTES
      if (work < 0) return false
      if (dictionary.values === null) continue
      for (const place of dictionary.places) seen.add(place)
      if (!addNode(head[2 * index] ?? 0, dictionary.values)) return false
    }
    return addRoots(text) && isKnown(text, 'Kids', seen)
  }

  return {
    run,
    kids,
    counts,
    roots,
    get content() {
      return pages.bytes
    },
    get inflated() {
      return packed.inflated
    },
  }
}

/** How much content pages have, as if none was compressed. A stream that says nothing of what it is holds what stands on a page. */
function createPageContent() {
  let bytes = 0
  /** The word that ends a stream, where it was found last: each search goes on from there. */
  let streamEnd = -1
  return {
    get bytes() {
      return bytes
    },
    add(text: string, start: number, end: number): void {
      const dictionary = text.slice(start, end)
      if (!/^\s*stream/.test(text.slice(end, end + 32)) || OTHER_CONTENT.test(dictionary)) return
      if (streamEnd < end) streamEnd = text.indexOf('endstream', end)
      if (streamEnd < 0) streamEnd = text.length
      bytes += (streamEnd - end) * (dictionary.includes('/Filter') ? USUAL_RATIO : 1)
    },
  }
}

/** One that belongs to no object found here belongs to one that was not found. */
function isKnown(text: string, name: string, seen: ReadonlySet<number>): boolean {
  for (const place of pdfNamePlaces(text, name)) if (!seen.has(place)) return false
  return true
}

/** `12 0 obj`, anywhere: also inside a stream, where a table may point to. */
function* headers(text: string): Generator<{ id: number; at: number }> {
  for (let at = text.indexOf('obj'); at >= 0; at = text.indexOf('obj', at + 3)) {
    const before = /(\d{1,10})\s+\d{1,5}\s*$/.exec(text.slice(Math.max(0, at - 32), at))
    if (before !== null) yield { id: Number(before[1]), at: at + 3 }
  }
}
