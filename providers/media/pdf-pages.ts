/**
 * How many pages a PDF can have at most. Not by its cross-reference table, which readers rebuild in ways of their own where it is
 * broken, but by every object that can be found anywhere in the file or in its compressed object streams, and for an object that
 * stands there several times (a file that was changed) by the version with the most pages. What could hide an object from this search
 * makes the number unknown: escaped names, comments inside a tree, encryption, filters that are not read here, too much to inflate.
 *
 * Work is linear in the bytes of the file, what is inflated and what is read twice included. Never throws.
 */
import { type InflateBudget, NO_CUTS } from '../cut-texts.ts'
import { createPdfScan, type PdfScan } from './pdf-objects.ts'

/** Bytes of all object streams together. A book of a thousand pages has two megabytes. */
const INFLATED_MAX = 8 * 1024 * 1024
/**
 * Of a file's own size. Objects are a part of a file and deflate to a third or a tenth of themselves; what was made to inflate goes to a
 * thousandth, and a megabyte of small such files stood the event loop still for 100 seconds.
 */
const INFLATED_SHARE = 4

export interface PdfPages {
  /** At most. */
  count: number
  /** Bytes of what stands on a usual one of them; roughly. */
  content: number
}

/** Null where their number can't be proved. @param budget of its request, for what it inflates to beyond its share. */
export function pdfPages(bytes: Buffer, budget: InflateBudget = NO_CUTS.inflating): PdfPages | null {
  const share = bytes.length * INFLATED_SHARE
  const scan = createPdfScan(bytes, Math.min(INFLATED_MAX, share + budget.left))
  const count = scan.run() ? countPages(scan) : null
  budget.left -= Math.max(0, scan.inflated - share)
  return count === null ? null : { count, content: scan.content / count }
}

/** `/Pages 3 0 R` of a catalog, and whatever stands elsewhere under that name. */
function countPages({ kids, counts, roots }: PdfScan): number | null {
  if (roots.size === 0) return null
  const pages = new Map<number, number>()
  const open = new Set<number>()
  let most = 0
  for (const root of roots) {
    const stack = [root]
    for (let id = stack.at(-1); id !== undefined; id = stack.at(-1)) {
      const versions = kids.get(id)
      if (pages.has(id) || versions === undefined) {
        // Whatever is no node of a tree is a page, or as many as it says.
        if (!pages.has(id)) pages.set(id, Math.max(1, counts.get(id) ?? 0))
        stack.pop()
        continue
      }
      if (!open.has(id)) {
        open.add(id)
        for (const list of versions) for (const kid of list) if (!pages.has(kid)) stack.push(kid)
        continue
      }
      let sum = 0
      for (const list of versions) {
        const own = list.reduce((total, kid) => total + (pages.get(kid) ?? Number.NaN), 0)
        // A tree that contains itself.
        if (Number.isNaN(own)) return null
        sum = Math.max(sum, own)
      }
      pages.set(id, Math.max(sum, counts.get(id) ?? 0))
      open.delete(id)
      stack.pop()
    }
    // NaN, where a count can't be read, stays.
    most = Math.max(most, pages.get(root) ?? 0)
  }
  return Number.isSafeInteger(most) && most > 0 ? most : null
}
