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
  /** Ascending by `above`. A rate missing in a tier is that of the next lower tier which states it. */
  tiers: OperatorTier[]
}
