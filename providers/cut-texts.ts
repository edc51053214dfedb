/**
 * Base64 that was cut out of a request before it was parsed: an image of 32 MB as one string stood the event loop still for a tenth of
 * a second wherever it was parsed, copied or written. In its place stand its first characters and a mark. Whoever looks at the
 * beginning of such a text, splits it at its comma or writes it into another JSON does as before; whoever needs all of it asks here.
 *
 * Nobody can write a mark: it holds a number drawn for this request after the whole of it had come. Every text with a mark stands where
 * a part's medium does, once, and was strict base64, so its characters mean the same in every JSON string.
 */

export interface CutText {
  /** The bytes of its base64, from behind the comma of a `data:` URL on. */
  decoded: Buffer
  /** What the mark stands for: a part of the request as it came. */
  rest: Buffer
  mark: string
  /** Characters of its base64 before the mark. */
  kept: number
}

/** Bytes that the PDFs of one request may inflate to beyond what each may by its size. */
export interface InflateBudget {
  left: number
}

export interface CutTexts {
  /** By how much the request is longer than its text with marks. */
  readonly bytes: number
  /** What ends in one of our marks. */
  find(text: string): CutText | null
  /** JSON in which marks may stand, with what they stand for in their places, uncopied. */
  restore(json: Buffer): readonly Buffer[]
  /** The result of what was done for this text, by the same work, the first time: each deployment of a model asks anew. */
  once<Result>(text: string, work: () => Result): Result
  readonly inflating: InflateBudget
}

const INFLATED_BEYOND_SIZE = 1024 * 1024

/** Of a request of which nothing is cut out. */
export function noCuts(): CutTexts {
  return cutTexts('', [])
}

/** For a text that belongs to no request. */
export const NO_CUTS: CutTexts = {
  bytes: 0,
  find: () => null,
  restore: (json) => [json],
  once: (_, work) => work(),
  get inflating() {
    return { left: INFLATED_BEYOND_SIZE }
  },
}

/** @param prefix every mark begins with it, and nothing else in the request holds it. */
export function cutTexts(prefix: string, cuts: readonly CutText[]): CutTexts {
  const byMark = new Map(cuts.map((cut) => [cut.mark, cut]))
  const length = cuts[0]?.mark.length ?? 0
  const results = new Map<string, unknown>()

  function restore(json: Buffer): readonly Buffer[] {
    if (cuts.length === 0) return [json]
    const pieces: Buffer[] = []
    let done = 0
    for (let at = json.indexOf(prefix); at >= 0; at = json.indexOf(prefix, done)) {
      const cut = byMark.get(json.toString('latin1', at, at + length))
      if (cut === undefined) throw new Error('a mark of a cut text was cut itself')
      pieces.push(json.subarray(done, at), cut.rest)
      done = at + length
    }
    pieces.push(json.subarray(done))
    return pieces
  }

  return {
    bytes: cuts.reduce((sum, { rest, mark }) => sum + rest.length - mark.length, 0),
    find: (text) => (text.at(-1) === MARK_END ? (byMark.get(text.slice(-length)) ?? null) : null),
    restore,
    once<Result>(text: string, work: () => Result): Result {
      if (!results.has(text)) results.set(text, work())
      return results.get(text) as Result
    },
    inflating: { left: INFLATED_BEYOND_SIZE },
  }
}

/** No character of base64. */
const MARK_END = '~'

/** @param random of this request alone. All marks of a request are as long. */
export function markPrefix(random: string): string {
  return `${MARK_END}${random}:`
}

export function markOf(prefix: string, index: number): string {
  return `${prefix}${String(index).padStart(6, '0')}${MARK_END}`
}
