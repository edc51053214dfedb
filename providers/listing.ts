/** Where the price data set lists a model, and what it leaves out of its price. */
export interface Listing {
  /** In the data set. */
  provider: string
  model: string
  /** Hundredths of the listed price that the model costs where it stands. @default 100 */
  percent?: number
  /** Hundredths of the price of input that it costs to write a cache, where the list does not say. @default as input */
  cacheWrites?: CacheWrites
}

export interface CacheWrites {
  fiveMinutes: number
  hour: number
}

/** Of Claude, at Anthropic and wherever it is hosted. */
export const CLAUDE_CACHE_WRITES: CacheWrites = { fiveMinutes: 125, hour: 200 }
