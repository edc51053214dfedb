/** Every character and every token that is installed, repeated: the fast estimate is never below what its vocabulary makes of it. */
import { get_encoding, type TiktokenEncoding } from 'tiktoken'
import { describe, expect, test } from 'vitest'
import { estimateText } from '../../src/metering/estimate.ts'

/** Tokens without the special ones, which are ordinary text in a message. gpt2 is r50k, and p50k_edit is p50k with other special ones. */
const VOCABULARIES: readonly (readonly [name: TiktokenEncoding, tokens: number])[] = [
  ['o200k_base', 199_998],
  ['cl100k_base', 100_256],
  ['p50k_base', 50_256],
  ['r50k_base', 50_256],
]
const TIMEOUT_MS = 180_000
/** Each letter of an ASCII run is checked; of others what is below their bytes, which is nothing from the third one on. */
const ASCII_LENGTHS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 100, 128, 300]
const LENGTHS = [1, 2, 3]

describe('the fast estimate is never below', () => {
  test(
    'The fast estimate is never below a run of any character.',
    () => {
      const vocabularies = VOCABULARIES.map(([name]) => get_encoding(name))
      const below: string[] = []
      for (let code = 0; code < 0x110000; code++) {
        if (code >= 0xd800 && code <= 0xdfff) continue
        const character = String.fromCodePoint(code)
        const bytes = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4
        for (const length of code < 0x80 ? ASCII_LENGTHS : code < 0x600 ? LENGTHS : [1, 3]) {
          const run = character.repeat(length)
          const estimate = estimateText(run)
          if (estimate >= bytes * length) continue
          if (vocabularies.some((vocabulary) => vocabulary.encode_ordinary(run).length > estimate))
            below.push(`U+${code.toString(16)} x ${length}`)
        }
      }
      for (const vocabulary of vocabularies) vocabulary.free()
      expect(below).toEqual([])
    },
    TIMEOUT_MS,
  )

  test.each(VOCABULARIES)(
    'The fast estimate is never below a run of any token of %s.',
    (name, tokens) => {
      const vocabulary = get_encoding(name)
      const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
      const below: string[] = []
      for (let token = 0; token < tokens; token++) {
        const text = textOf(decoder, vocabulary.decode_single_token_bytes(token))
        if (text === null) continue
        for (const length of [1, 4]) {
          const run = text.repeat(length)
          const estimate = estimateText(run)
          // Most are words with a blank in front, each at least a token.
          if (estimate >= Buffer.byteLength(run)) continue
          if (vocabulary.encode_ordinary(run).length > estimate) below.push(`${JSON.stringify(text)} x ${length}`)
        }
      }
      vocabulary.free()
      expect(below).toEqual([])
    },
    180_000,
  )
})

/** Null for a piece of a character, which is no text. */
function textOf(decoder: InstanceType<typeof TextDecoder>, bytes: Uint8Array): string | null {
  try {
    return decoder.decode(bytes)
  } catch {
    return null
  }
}
