/** Dictionaries and names in the text of a PDF, as far as its pages need them. Each function is linear in what it reads. */

/** Names this search goes by. Written with an escape (`/K#69ds`) they are the same to a reader. */
const WATCHED: ReadonlySet<string> = new Set([
  ...['Kids', 'Count', 'Pages', 'First', 'N', 'Encrypt'],
  ...['Filter', 'F', 'FlateDecode', 'Fl', 'DecodeParms', 'DP'],
])
const ESCAPED_NAME = /\/[^\s/<>[\](){}%]*#[0-9a-fA-F]{2}[^\s/<>[\](){}%]*/g
const DELIMITER = /[\s/<>[\](){}%]/

/** Names of fonts have them, now and then. Each takes as long as a kilobyte of text. */
const ESCAPED_MAX = 1_000

/** Whether a name this search goes by is written with an escape, or too many names have one. */
export function hidesPdfName(text: string): boolean {
  let escaped = 0
  for (const [name] of text.matchAll(ESCAPED_NAME)) {
    const plain = name
      .slice(1)
      .replace(/#([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    escaped += 1
    if (WATCHED.has(plain) || escaped > ESCAPED_MAX) return true
  }
  return false
}

export function hasPdfName(text: string, name: string): boolean {
  for (const _ of pdfNamePlaces(text, name)) return true
  return false
}

/** Where a name stands, wherever that is. */
export function* pdfNamePlaces(text: string, name: string): Generator<number> {
  const length = name.length + 1
  for (let at = text.indexOf(`/${name}`); at >= 0; at = text.indexOf(`/${name}`, at + length)) {
    if (at + length >= text.length || DELIMITER.test(text[at + length] ?? '')) yield at
  }
}

/** By name, the text of values that matter here. */
export type PdfValues = Readonly<Partial<Record<string, string>>>

export interface PdfDictionary {
  /** Of the dictionary itself, not of those in it; null where none stands here, or one that readers may take differently. */
  values: PdfValues | null
  /** Where `/Kids` and `/First` stand in it, at any depth. */
  places: readonly number[]
  /** Where reading ended. */
  end: number
}

const READ: ReadonlySet<string> = new Set(['Kids', 'Count', 'First', 'N', 'Filter', 'DecodeParms', 'F', 'DP'])
const TOKEN = /<<|>>|\/[^\s/<>[\](){}%]*|\(|%[^\r\n]*|<[0-9a-fA-F\s]*>|[[\]{})<>]|[^\s/<>[\](){}%]+/g
/** Words that stand between objects, never in a dictionary. */
const OUTSIDE = /^(?:obj|endobj|stream|endstream|xref|trailer)$/

export function readPdfDictionary(text: string, start: number): PdfDictionary {
  const lead = /^\s*<</.exec(text.slice(start, start + 64))
  if (lead === null) return { values: null, places: [], end: start }
  const values: Partial<Record<string, string>> = {}
  const places: number[] = []
  const token = new RegExp(TOKEN)
  token.lastIndex = start + lead[0].length
  let depth = 1
  let lists = 0
  let key: { name: string; from: number } | null = null
  let wantsKey = true
  for (let match = token.exec(text); match !== null; match = token.exec(text)) {
    const [word] = match
    const isOwn = depth === 1 && lists === 0
    const isEnd = isOwn && word === '>>'
    if (key !== null && (isEnd || (isOwn && wantsKey && word.startsWith('/')))) {
      // A duplicate: some readers take the first, others the last.
      if (Object.hasOwn(values, key.name)) break
      if (READ.has(key.name)) values[key.name] = text.slice(key.from, match.index)
    }
    if (isEnd) return { values, places, end: token.lastIndex }
    if (word === '/Kids' || word === '/First') places.push(match.index)
    if (isOwn && wantsKey && word.startsWith('/')) {
      key = { name: word.slice(1), from: token.lastIndex }
      wantsKey = false
      continue
    }
    if (OUTSIDE.test(word)) break
    if (word === '(') token.lastIndex = afterString(text, token.lastIndex)
    else if (word === '<<') depth++
    else if (word === '>>') depth--
    else if (word === '[') lists++
    else if (word === ']') lists--
    // After one value a name is a key again; numbers and references are of several words.
    if (!word.startsWith('%')) wantsKey = depth === 1 && lists === 0
  }
  return { values: null, places: [], end: token.lastIndex === 0 ? text.length : token.lastIndex }
}

/** Behind the bracket that closes a string; brackets inside may be nested or escaped. */
function afterString(text: string, start: number): number {
  let depth = 1
  for (let at = start; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 92) at++
    else if (code === 40) depth++
    else if (code === 41 && --depth === 0) return at + 1
  }
  return text.length
}
