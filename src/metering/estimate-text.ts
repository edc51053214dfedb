/**
 * A fast upper estimate of what a text counts as: one pass over its UTF-16 units, no vocabulary, about a hundred times as
 * fast as a tokenizer. It cuts a text where tokenizers cut (words, camel humps, groups of three digits, punctuation, white
 * space) and charges each piece for its length. Tuned against o200k_base: on 95 % of realistic texts not below it, at the
 * median at most 1.5 times of it. Never above one token a UTF-8 byte, which no byte-level vocabulary exceeds.
 */

const OTHER = 0
const LOWER = 1
const UPPER = 2
const DIGIT = 3
const SPACE = 4
const BREAK = 5
const WIDE = 6

const ASCII = new Uint8Array(128)
for (let code = 0; code < 128; code++) ASCII[code] = asciiClass(code)

function asciiClass(code: number): number {
  if (code >= 97 && code <= 122) return LOWER
  if (code >= 65 && code <= 90) return UPPER
  if (code >= 48 && code <= 57) return DIGIT
  if (code === 32 || code === 9) return SPACE
  return code === 10 || code === 13 ? BREAK : OTHER
}

/** Estimates the tokens of a text. An integer >= 0, 0 only for the empty text; linear in the length. */
export function estimateText(text: string): number {
  const scan = { at: 0, tokens: 0, wide: 0 }
  while (scan.at < text.length) {
    const kind = classOf(text.charCodeAt(scan.at))
    if (kind === LOWER || kind === UPPER || kind === DIGIT) word(text, scan)
    else if (kind === SPACE) space(text, scan)
    else if (kind === BREAK) scan.tokens += Math.ceil(run(text, scan, BREAK) / 4)
    else if (kind === OTHER) punctuation(text, scan)
    else symbol(text, scan)
  }
  return Math.min(Math.ceil(scan.tokens), text.length + scan.wide)
}

/** Where the scan stands; `wide` is how many more UTF-8 bytes than UTF-16 units were passed. */
interface Scan {
  at: number
  tokens: number
  wide: number
}

/** Moves past a run of one ASCII class and returns its length. */
function run(text: string, scan: Scan, kind: number): number {
  const start = scan.at
  while (scan.at < text.length && ASCII[text.charCodeAt(scan.at)] === kind) scan.at++
  return scan.at - start
}

/** One blank goes into the word behind it, but not into a number or into nothing; a longer run is an indentation, a token for each 16 or so. */
function space(text: string, scan: Scan): void {
  const length = run(text, scan, SPACE)
  if (length > 1 || scan.at === text.length) scan.tokens += Math.ceil(length / 16)
  if (ASCII[text.charCodeAt(scan.at)] === DIGIT) scan.tokens++
}

/** Tokens merge two signs (`",`, `();`) or a line of one sign (`-----`). */
function punctuation(text: string, scan: Scan): void {
  const first = text.charCodeAt(scan.at)
  const start = scan.at
  let same = true
  while (scan.at < text.length && ASCII[text.charCodeAt(scan.at)] === OTHER) {
    if (text.charCodeAt(scan.at) !== first) same = false
    scan.at++
  }
  const length = scan.at - start
  scan.tokens += same && length > 2 ? Math.ceil(length / 16) + 1 : length > 1 ? Math.ceil(length * 0.5) : 1
}

/**
 * A run of letters and digits, cut where letters meet digits and where a hump begins. One that keeps changing its class is
 * not made of words (base64, hex, tokens): there 1.4 characters are a token, whatever they are.
 */
function word(text: string, scan: Scan): void {
  const start = scan.at
  let pieceStart = start
  let accents = 0
  let changes = 0
  let tokens = 0
  let previous = classOf(text.charCodeAt(start))
  for (; scan.at < text.length; scan.at++) {
    const code = text.charCodeAt(scan.at)
    const kind = classOf(code)
    if (kind !== LOWER && kind !== UPPER && kind !== DIGIT) break
    if (code >= 128) {
      scan.wide++
      accents += code < 0x100 ? 0.4 : code < 0x250 ? 0.6 : 0.17
    }
    if (kind === previous) continue
    changes++
    if (previous !== UPPER || kind === DIGIT) {
      tokens += pieceTokens(scan.at - pieceStart, previous)
      pieceStart = scan.at
    }
    previous = kind
  }
  const length = scan.at - start
  tokens += pieceTokens(scan.at - pieceStart, previous) + accents
  scan.tokens += length >= 12 && changes * 4 >= length ? Math.max(tokens, length / 1.4) : tokens
}

/** Short words are a token in every language; long ones are one in English and four letters a token in German or Russian. */
function pieceTokens(length: number, kind: number): number {
  if (kind === DIGIT) return Math.ceil(length / 3)
  if (length <= 4) return 1
  return 1 + (length - 4) * 0.33
}

/**
 * The vocabulary merges the letters of a few more scripts well; ideographs, kana, Hangul and signs take about a token each;
 * pictographs come as two units and take up to three; Ethiopic is spelled byte by byte.
 */
function symbol(text: string, scan: Scan): void {
  const code = text.charCodeAt(scan.at)
  scan.at++
  // A surrogate is half of a character of four bytes; all others here are two or three bytes.
  const half = code >= 0xd800 && code <= 0xdfff
  scan.wide += half ? 1 : code < 0x800 ? 1 : 2
  if (half) scan.tokens += 1.5
  else if (code >= 0x590 && code <= 0xe7f) scan.tokens += 0.7
  else scan.tokens += code >= 0x1200 && code < 0x1400 ? 2 : 1
}

/** Accented Latin, Greek and Cyrillic count as lower-case letters: their words are merged like English ones. */
function classOf(code: number): number {
  if (code < 128) return ASCII[code] ?? OTHER
  return (code >= 0xc0 && code <= 0x24f && code !== 0xd7 && code !== 0xf7) || (code >= 0x370 && code <= 0x52f)
    ? LOWER
    : WIDE
}
