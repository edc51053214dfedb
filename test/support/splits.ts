/** Ways to cut a body into the pieces a network might bring it in. Every one of them must mean the same to a reader. */

export type Split = (body: Buffer) => Buffer[]

export const whole: Split = (body) => [body]

export function every(size: number): Split {
  return (body) => {
    const pieces: Buffer[] = []
    for (let at = 0; at < body.length; at += size) pieces.push(body.subarray(at, at + size))
    return pieces
  }
}

export const everyByte: Split = every(1)

/** Cuts where readers go wrong: between CR and LF, between two line ends, and inside a UTF-8 sequence. */
export const awkward: Split = (body) =>
  cutAt(body, (at) => {
    const [before, after] = [body[at - 1], body[at]!]
    return (
      (before === 0x0d && after === 0x0a) ||
      (before === 0x0a && (after === 0x0a || after === 0x0d)) ||
      (after & 0xc0) === 0x80
    )
  })

/** Cuts at random places, the same ones for the same seed. `mean` is about how long a piece is, in bytes. */
export function seeded(seed: number, mean = 24): Split {
  return (body) => {
    const random = seededRandom(seed)
    return cutAt(body, () => random() * mean < 1)
  }
}

/** Cuts at these offsets. */
export function cutBefore(offsets: readonly number[]): Split {
  const wanted = new Set(offsets)
  return (body) => cutAt(body, (at) => wanted.has(at))
}

function cutAt(body: Buffer, cut: (at: number) => boolean): Buffer[] {
  const pieces: Buffer[] = []
  let start = 0
  for (let at = 1; at < body.length; at += 1) {
    if (!cut(at)) continue
    pieces.push(body.subarray(start, at))
    start = at
  }
  if (start < body.length) pieces.push(body.subarray(start))
  return pieces
}

/** A number in [0, 1) at each call, the same row of numbers for the same seed (an xorshift; quality does not matter here). */
export function seededRandom(seed: number): () => number {
  let state = (Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995) >>> 0 || 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return state / 0x1_0000_0000
  }
}
