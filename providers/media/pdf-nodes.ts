/** The nodes of a PDF's trees of pages, as its objects state them, and what points to a tree. */
import type { PdfValues } from './pdf-dictionary.ts'

export interface PdfNodes {
  /** By object number, the children of each of its versions. */
  readonly kids: ReadonlyMap<number, readonly (readonly number[])[]>
  /** By object number, the largest `/Count` of its versions; NaN where one can't be read. */
  readonly counts: ReadonlyMap<number, number>
  readonly roots: ReadonlySet<number>
  /** False: the object can't be read with certainty. */
  addNode(id: number, values: PdfValues): boolean
  /** False: something that points to a tree can't be read with certainty. */
  addRoots(text: string): boolean
}

/** Of one text. A document of 20 000 pages has some 3 000. */
const NODES_MAX = 10_000

export function createPdfNodes(): PdfNodes {
  const kids = new Map<number, number[][]>()
  const counts = new Map<number, number>()
  const roots = new Set<number>()

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
    let found = 0
    for (let at = text.indexOf('/Pages'); at >= 0; at = text.indexOf('/Pages', at + 6)) {
      found += 1
      if (found > NODES_MAX) return false
      const next = text.slice(at + 6, at + 70)
      if (/^[^\s/<>[\](){}%]/.test(next)) continue
      const reference = /^\s*(\d{1,10})\s+\d{1,5}\s+R/.exec(next)
      if (reference !== null) roots.add(Number(reference[1]))
      else if (!/^\s*(?:\/|>>)/.test(next)) return false
    }
    return true
  }

  return { kids, counts, roots, addNode, addRoots }
}
