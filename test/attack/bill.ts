/** What a provider bills the operator, at its list prices: written here by hand, so that the product's own prices are checked too. */

/** Nano-dollars a token. */
interface ListPrice {
  input: bigint
  cached: bigint
  written?: bigint
  written1h?: bigint
  output: bigint
  audioOutput?: bigint
}

export const LIST = {
  'gpt-4o-mini': { input: 150n, cached: 75n, output: 600n },
  'gpt-4o': { input: 2_500n, cached: 1_250n, output: 10_000n },
  'o4-mini': { input: 1_100n, cached: 275n, output: 4_400n },
  exact: { input: 0n, cached: 0n, output: 20_000n },
  'claude-haiku-4-5': { input: 1_000n, cached: 100n, written: 1_250n, written1h: 2_000n, output: 5_000n },
  'gemini-2.5-flash': { input: 300n, cached: 30n, output: 2_500n },
  'grok-3': { input: 3_000n, cached: 750n, output: 15_000n },
  'ft:gpt-4o-mini': { input: 300n, cached: 150n, output: 1_200n },
  'gpt-audio-mini': { input: 600n, cached: 600n, output: 2_400n },
  'llama-4-maverick': { input: 200n, cached: 200n, output: 600n },
  'gpt-4o-mini-search-preview': { input: 150n, cached: 75n, output: 600n },
  'gpt-3.5-turbo-instruct': { input: 1_500n, cached: 1_500n, output: 2_000n },
  'gemini-2.5-flash-image': { input: 300n, cached: 300n, output: 30_000n },
  'gpt-image-1': { input: 5_000n, cached: 5_000n, output: 40_000n },
  'gpt-4o-mini-tts': { input: 600n, cached: 600n, output: 12_000n },
  'text-embedding-3-small': { input: 20n, cached: 20n, output: 0n },
} satisfies Record<string, ListPrice>

export interface Bill {
  /** @default gpt-4o-mini */
  model?: keyof typeof LIST
  /** Tokens that are not in a cache. */
  input: number
  cached?: number
  /** Written into a cache for five minutes, and for an hour. */
  written?: number
  written1h?: number
  output: number
  /** Hundredths of the list price that the service tier takes. @default 100 */
  tier?: number
  /** Nano-dollars beside tokens: uses of tools. */
  fees?: bigint
}

/** Nano-dollars x 100. */
function hundredths(bill: Bill): bigint {
  const price: ListPrice = LIST[bill.model ?? 'gpt-4o-mini']
  const { input, cached = 0, written = 0, written1h = 0, output, tier = 100, fees = 0n } = bill
  const tokens =
    BigInt(input) * price.input +
    BigInt(cached) * price.cached +
    BigInt(written) * (price.written ?? price.input) +
    BigInt(written1h) * (price.written1h ?? price.input) +
    BigInt(output) * price.output
  return tokens * BigInt(tier) + fees * 100n
}

/** Microcredits, with the payer's factor in thousandths, rounded up once a call. */
export function trueCharge(bills: readonly Bill[], factor: bigint): bigint {
  return bills.reduce((sum, bill) => sum + (hundredths(bill) * factor + 99_999n) / 100_000n, 0n)
}
