/**
 * Changes single members of a JSON object in its text, leaving every other byte as it came: no re-encoding, so a number like
 * 1.0 or 9007199254740993 reaches the other side as it was written.
 *
 * The text must already have been accepted by JSON.parse; this only finds where members begin and end.
 */

export interface Member {
  key: string
  /** Where the key's opening quote is, and one past the value: `"key": value`. */
  start: number
  valueStart: number
  end: number
}

export const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN = new Set([0x7b, 0x5b])
const CLOSE = new Set([0x7d, 0x5d])
const COMMA = 0x2c
const COLON = 0x3a

/** The members of the object that starts at `from` (its opening brace, after white space), in order. */
export function objectMembers(text: Buffer, from = 0): Member[] {
  const members: Member[] = []
  let at = skipSpace(text, skipSpace(text, from) + 1)
  while (at < text.length && text[at] === QUOTE) {
    const keyEnd = stringEnd(text, at)
    const valueStart = skipSpace(text, skipTo(text, keyEnd, COLON) + 1)
    const end = valueEnd(text, valueStart)
    members.push({ key: JSON.parse(text.toString('utf8', at, keyEnd)) as string, start: at, valueStart, end })
    at = skipSpace(text, end)
    if (text[at] !== COMMA) break
    at = skipSpace(text, at + 1)
  }
  return members
}

/**
 * How many members the objects of a parsed text have, which nests no deeper than `createJsonScan` allowed. Fewer than stand in
 * the text: one stands there twice.
 */
export function countParsed(value: unknown): number {
  let count = 0
  if (Array.isArray(value)) {
    for (const one of value) if (typeof one === 'object' && one !== null) count += countParsed(one)
  } else if (typeof value === 'object' && value !== null) {
    // Not Object.values: this is on the way of every call (a third of the time, measured), and parsed objects inherit nothing.
    for (const name in value) {
      const member = (value as Record<string, unknown>)[name]
      count += typeof member === 'object' && member !== null ? 1 + countParsed(member) : 1
    }
  }
  return count
}

interface OpenValue {
  /** Null: a list. */
  seen: Set<string> | null
  step: string | number
}

/** Where a member stands that its object has already, as a path; null where there is none. Readers disagree on which one counts. */
export function duplicateMember(text: Buffer): (string | number)[] | null {
  const open: OpenValue[] = []
  for (let at = 0; at < text.length; at += 1) {
    const byte = text[at]!
    const last = open.at(-1)
    if (byte === QUOTE) {
      const end = stringEnd(text, at)
      if (last?.seen != null && text[skipSpace(text, end)] === COLON) {
        last.step = JSON.parse(text.toString('utf8', at, end)) as string
        if (last.seen.has(last.step)) return open.map(({ step }) => step)
        last.seen.add(last.step)
      }
      at = end - 1
    } else if (byte === 0x7b) open.push({ seen: new Set(), step: '' })
    else if (byte === 0x5b) open.push({ seen: null, step: 0 })
    else if (CLOSE.has(byte)) open.pop()
    else if (byte === COMMA && typeof last?.step === 'number') last.step += 1
  }
  return null
}

export type Change = { key: string; value: string } | { key: string; remove: true }

/**
 * The object with some members replaced, added (at the end) or removed; values are JSON text. The text may have white space
 * around the object, which stays.
 */
export function changeMembers(text: Buffer, members: readonly Member[], changes: readonly Change[]): Buffer {
  const byKey = new Map(changes.map((change) => [change.key, change]))
  const present = new Set(members.map((member) => member.key))
  const open = skipSpace(text, 0)
  const pieces: Buffer[] = [text.subarray(0, open + 1)]
  for (const [index, member] of members.entries()) {
    const change = byKey.get(member.key)
    if (isRemoval(change)) continue
    // The comma and the white space before a member go with it; before the first one there is no comma.
    const before = pieces.length > 1 ? members[index - 1] : undefined
    pieces.push(
      before === undefined ? text.subarray(open + 1, members[0]?.start) : text.subarray(before.end, member.start),
    )
    if (change === undefined) pieces.push(text.subarray(member.start, member.end))
    else pieces.push(text.subarray(member.start, member.valueStart), Buffer.from(change.value))
  }
  for (const change of changes) {
    if (isRemoval(change) || present.has(change.key)) continue
    pieces.push(Buffer.from(`${pieces.length > 1 ? ',' : ''}${JSON.stringify(change.key)}:${change.value}`))
  }
  pieces.push(text.subarray(members.at(-1)?.end ?? open + 1))
  return Buffer.concat(pieces)
}

function isRemoval(change: Change | undefined): change is { key: string; remove: true } {
  return change !== undefined && 'remove' in change
}

function skipSpace(text: Buffer, from: number): number {
  let at = from
  while (at < text.length && (text[at] === 0x20 || text[at] === 0x0a || text[at] === 0x0d || text[at] === 0x09)) at += 1
  return at
}

function skipTo(text: Buffer, from: number, byte: number): number {
  const at = text.indexOf(byte, from)
  return at < 0 ? text.length : at
}

/** One past the closing quote of the string that opens at `from`. */
export function stringEnd(text: Uint8Array, from: number): number {
  return Math.min(text.length, closingQuote(text, from + 1) + 1)
}

/** Most strings are short, and a search costs as much as a hundred bytes do: a text of nothing but quotes is searched once a piece. */
const NEAR = 64

/** Where the string ends that `at` is inside of. Not in this text: its length, or one more where the byte after it is escaped. */
export function closingQuote(text: Uint8Array, from: number): number {
  let at = from
  while (at < text.length) {
    const near = Math.min(at + NEAR, text.length)
    while (at < near) {
      const byte = text[at]
      if (byte === QUOTE) return at
      at += byte === BACKSLASH ? 2 : 1
    }
    if (at >= text.length) return at
    const found = text.indexOf(QUOTE, at)
    const quote = found < 0 ? text.length : found
    let slashes = 0
    while (quote - 1 - slashes >= at && text[quote - 1 - slashes] === BACKSLASH) slashes += 1
    if (slashes % 2 === 0) return quote
    at = quote + 1
  }
  return at
}

/** Deeper lists are not looked ahead in: each look is a search, and they may be nested. */
const FLAT_DEPTH_MAX = 4

/** Where a list that begins at `from` ends, where it holds numbers only: embeddings have millions of them. Else `from`. */
function afterNumbers(text: Buffer, from: number): number {
  const first = text[from] ?? 0
  if (first !== 0x2d && (first < 0x30 || first > 0x39)) return from
  const end = text.indexOf(0x5d, from)
  if (end < 0) return from
  const numbers = text.subarray(from, end)
  return numbers.includes(QUOTE) || numbers.includes(0x5b) || numbers.includes(0x7b) ? from : end
}

function valueEnd(text: Buffer, from: number): number {
  const first = text[from]
  if (first === QUOTE) return stringEnd(text, from)
  if (first === undefined || !OPEN.has(first)) return scalarEnd(text, from)
  let depth = 0
  let at = from
  while (at < text.length) {
    const byte = text[at]!
    if (byte === QUOTE) {
      at = stringEnd(text, at)
      continue
    }
    // Compared one by one: a set takes ten times as long.
    if (byte === 0x7b || byte === 0x5b) depth += 1
    else if (byte === 0x7d || byte === 0x5d) depth -= 1
    at = byte === 0x5b && depth <= FLAT_DEPTH_MAX ? afterNumbers(text, at + 1) : at + 1
    if (depth === 0) return at
  }
  return at
}

function scalarEnd(text: Buffer, from: number): number {
  let at = from
  while (at < text.length) {
    const byte = text[at]!
    if (byte === COMMA || CLOSE.has(byte) || byte <= 0x20) break
    at += 1
  }
  return at
}
