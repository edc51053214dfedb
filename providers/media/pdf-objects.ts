/**
 * Finds the objects of a PDF that matter for its pages: nodes of trees (`/Kids`), what points to one (`/Pages`), and streams of
 * compressed objects, which are inflated and searched too. Strict: of what is written in a way that readers may take differently, the
 * scan says no as a whole.
 */
import { constants, inflateSync } from 'node:zlib'
import { hasPdfName, hidesPdfName, type PdfValues, pdfNamePlaces, readPdfDictionary } from './pdf-dictionary.ts'

export interface PdfScan {
  /** False: the file can't be read with certainty. */
  run(): boolean
  /** By object number, the children of each of its versions. */
  readonly kids: ReadonlyMap<number, readonly (readonly number[])[]>
  /** By object number, the largest `/Count` of its versions; NaN where one can't be read. */
  readonly counts: ReadonlyMap<number, number>
  readonly roots: ReadonlySet<number>
  /** What a page usually has of text, in bytes of content streams as if none was compressed. Roughly: nothing is proved by it. */
  readonly content: number
}

/** Objects in a file, and streams of them, beyond which nobody counts. A thousand pages are some 20 000 objects in 200 streams. */
const OBJECTS_MAX = 100_000
const STREAMS_MAX = 2_000

/** Streams of images, fonts, colours, tables and the like. */
const OTHER_CONTENT =
  /\/(?:Image|Length1|ObjStm|XRef|Metadata|XML|FunctionType|ShadingType|Alternate|Type1C|CIDFontType0C|OpenType|EmbeddedFile)\b/
/** Of text on a page, compressed. */
const USUAL_RATIO = 3

/** With `info`, what came of it and how many bytes that took. */
interface Inflated {
  buffer: Buffer
  engine: { bytesWritten: number }
}

export function createPdfScan(bytes: Buffer, inflatedMax: number): PdfScan {
  const kids = new Map<number, number[][]>()
  const counts = new Map<number, number>()
  const roots = new Set<number>()
  let inflated = 0
  /** Bytes of the file that inflating may still read: streams may lie in each other, and read much to write nothing. */
  let readable = bytes.length
  let streams = 0
  let content = 0
  /** The word that ends a stream, where it was found last: each search goes on from there. */
  let streamEnd = -1

  function run(): boolean {
    const text = bytes.toString('latin1')
    if (hidesPdfName(text) || hasPdfName(text, 'Encrypt')) return false
    return readBody(text)
  }

  function readBody(text: string): boolean {
    const seen = new Set<number>()
    let work = text.length + 65_536
    let objects = 0
    for (const { id, at } of headers(text)) {
      objects++
      const dictionary = readPdfDictionary(text, at)
      work -= dictionary.end - at
      if (work < 0 || objects > OBJECTS_MAX) return false
      if (dictionary.values === null) continue
      for (const place of dictionary.places) seen.add(place)
      addContent(text, at, dictionary.end)
      if (!addNode(id, dictionary.values) || !addStream(text, dictionary.values, dictionary.end)) return false
    }
    return addRoots(text) && isKnown(text, 'Kids', seen) && isKnown(text, 'First', seen)
  }

  function addNode(id: number, values: PdfValues): boolean {
    // Some readers believe it, also where nothing stands beside it. One that is no plain number could be any.
    const count = values.Count ?? '0'
    counts.set(id, Math.max(counts.get(id) ?? 0, /^\s*\d{1,9}\s*$/.test(count) ? Number(count) : Number.NaN))
    if (values.Kids === undefined) return true
    const list = /^\s*\[((?:\s*\d{1,10}\s+\d{1,5}\s+R)*)\s*\]\s*$/.exec(values.Kids)
    if (list === null) return false
    const own = (list[1]!.match(/\d+\s+\d+\s+R/g) ?? []).map((reference) => Number.parseInt(reference, 10))
    const versions = kids.get(id)
    if (versions === undefined) kids.set(id, [own])
    else versions.push(own)
    return true
  }

  /** A node has to be an object of its own. */
  function addRoots(text: string): boolean {
    for (let at = text.indexOf('/Pages'); at >= 0; at = text.indexOf('/Pages', at + 6)) {
      const next = text.slice(at + 6, at + 70)
      if (/^[^\s/<>[\](){}%]/.test(next)) continue
      const reference = /^\s*(\d{1,10})\s+\d{1,5}\s+R/.exec(next)
      if (reference !== null) roots.add(Number(reference[1]))
      else if (!/^\s*(?:\/|>>)/.test(next)) return false
    }
    return true
  }

  /** A stream that says nothing of what it is holds what stands on a page. */
  function addContent(text: string, start: number, end: number): void {
    const dictionary = text.slice(start, end)
    if (!/^\s*stream/.test(text.slice(end, end + 32)) || OTHER_CONTENT.test(dictionary)) return
    if (streamEnd < end) streamEnd = text.indexOf('endstream', end)
    if (streamEnd < 0) streamEnd = text.length
    content += (streamEnd - end) * (dictionary.includes('/Filter') ? USUAL_RATIO : 1)
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
    const content = inflate(end + start[0].length)
    return content !== null && readObjects(content, Number(values.N), Number(values.First))
  }

  /** To the stream's own end: a length, or a word that stands for the end, may lie. */
  function inflate(start: number): string | null {
    const left = inflatedMax - inflated
    if (left <= 0 || readable <= 0) return null
    try {
      // Readers take what is there of one that was cut off.
      const options = { maxOutputLength: left, finishFlush: constants.Z_SYNC_FLUSH, info: true } as const
      const { buffer, engine } = inflateSync(bytes.subarray(start, start + readable), options) as unknown as Inflated
      inflated += buffer.length
      readable -= engine.bytesWritten
      return readable > 0 ? buffer.toString('latin1') : null
    } catch {
      return null
    }
  }

  /** Numbers and places of the objects, then the objects, without a word between them. */
  function readObjects(text: string, count: number, first: number): boolean {
    if (!(count >= 0 && first >= 0 && first <= text.length) || hidesPdfName(text)) return false
    const head = text.slice(0, first).trim().split(/\s+/).map(Number)
    if (count > 0 && (head.some(Number.isNaN) || head.length < 2 * count)) return false
    const seen = new Set<number>()
    let work = text.length + 65_536
    for (let index = 0; index < count; index++) {
      const at = first + (head[2 * index + 1] ?? 0)
      const dictionary = readPdfDictionary(text, at)
      work -= dictionary.end - at
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
      return content
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
