/**
 * Looks over the bytes of a JSON text as they arrive: how deep it nests and how much is in it, before anybody parses it or even holds
 * all of it. What is not JSON at all is left to JSON.parse.
 */
import { closingQuote, QUOTE } from '../../providers/json-members.ts'

export interface JsonLimits {
  depth: number
  /** Members and elements of all objects and lists. */
  values: number
}

/** Where the characters of a string stand: from behind its first quote up to its last. */
export interface LongString {
  start: number
  end: number
}

export interface JsonScan {
  /** The next bytes. @throws what `refuse` throws, at the byte that is too much. */
  push(piece: Uint8Array): void
  /** Members of all objects, by the colons outside strings. */
  readonly members: number
  /** Strings of more than 64 kB, names among them. */
  readonly longStrings: readonly LongString[]
}

const LONG = 64 * 1024

const COLON = 1
const COMMA = 2
const OPEN = 3
const CLOSE = 4
const STRING = 5
/** One look a byte: a text may be all white space, and nobody stops its caller from sending 32 MB of it. */
const KINDS = new Uint8Array(256)
for (const [character, kind] of Object.entries({
  ':': COLON,
  ',': COMMA,
  '{': OPEN,
  '[': OPEN,
  '}': CLOSE,
  ']': CLOSE,
}))
  KINDS[character.charCodeAt(0)] = kind
KINDS[QUOTE] = STRING

/** @param refuse is told which limit was passed. */
export function createJsonScan(limits: JsonLimits, refuse: (limit: keyof JsonLimits) => never): JsonScan {
  let depth = 0
  let members = 0
  let values = 0
  let isInString = false
  /** Bytes of the next piece that belong to an escape that began in the last one. */
  let escaped = 0
  /** Of the pieces before this one. */
  let before = 0
  let stringStart = 0
  const longStrings: LongString[] = []

  function push(piece: Uint8Array): void {
    look(piece)
    before += piece.length
  }

  function look(piece: Uint8Array): void {
    let at = escaped
    escaped = 0
    while (at < piece.length) {
      if (isInString) {
        at = closingQuote(piece, at)
        if (at >= piece.length) {
          escaped = at - piece.length
          return
        }
        isInString = false
        const end = before + at
        if (end - stringStart > LONG) longStrings.push({ start: stringStart, end })
      } else {
        const kind = KINDS[piece[at]!]!
        if (kind === STRING) stringStart = before + at + 1
        if (kind !== 0) count(kind)
      }
      at += 1
    }
  }

  function count(kind: number): void {
    if (kind === STRING) isInString = true
    else if (kind === COLON) members += 1
    else if (kind === CLOSE) depth -= 1
    else {
      // A list or an object has one member more than it has commas.
      values += 1
      if (kind === OPEN) depth += 1
      if (depth > limits.depth) refuse('depth')
      if (values > limits.values) refuse('values')
    }
  }

  return {
    push,
    longStrings,
    get members() {
      return members
    },
  }
}
