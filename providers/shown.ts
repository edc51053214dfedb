/** What a stream has shown, piece by piece, and how many of the pieces the usage stated last covers. */
import type { StreamReader } from './provider.ts'

export interface Shown<Piece> extends Pick<StreamReader, 'outputText' | 'shownText' | 'textSince'> {
  /** Never fewer than the text of all pieces has. */
  readonly bytes: number
  add(piece: Piece, bytes: number): void
  /** Usage was stated that covers all pieces so far. */
  cover(): void
}

/** `textOf` joins the output text of pieces. */
export function createShown<Piece>(textOf: (pieces: readonly Piece[]) => string): Shown<Piece> {
  const pieces: Piece[] = []
  let covered = 0
  let total = 0
  return {
    get bytes() {
      return total
    },
    add(piece, bytes) {
      pieces.push(piece)
      total += bytes
    },
    cover() {
      covered = pieces.length
    },
    outputText: () => textOf(pieces.slice(covered)),
    shownText: (position = 0) => textOf(pieces.slice(position)),
    textSince: (position) => ({ text: textOf(pieces.slice(Math.max(position, covered))), position: pieces.length }),
  }
}
