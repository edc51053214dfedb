import type { Units } from '../../providers/usage.ts'

/** One whole-request tier of an operator's price: it prices every token of a request whose input is larger than `above` tokens. */
export interface OperatorTier {
  above: number
  input: bigint | null
  output: bigint | null
  cacheRead: bigint | null
  cacheWrite5m: bigint | null
}

/**
 * What an operator wrote about a deployment's price, in nano-dollars per million tokens (dollars per token x 10^15).
 * `null` means nothing was written; `0n` means free, because somebody wrote the zero.
 */
export interface OperatorPrice {
  input: bigint | null
  output: bigint | null
  cacheRead: bigint | null
  cacheWrite5m: bigint | null
  cacheWrite1h: bigint | null
  audioInput: bigint | null
  audioOutput: bigint | null
  imageOutput: bigint | null
  /** The rate of image tokens in the input; left out where nothing was written. */
  imageInput?: bigint
  /** Nano-dollars per million units, for the units that have a price. */
  units?: Readonly<Partial<Record<keyof Units, bigint>>>
  /** Ascending by `above`. A tier without a rate takes that of the next lower tier that has one. */
  tiers: OperatorTier[]
}
