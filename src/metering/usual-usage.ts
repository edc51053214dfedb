/** What a caller's calls of a model were like. */
export interface UsualUsage {
  calls: number
  /** Tokens of a call, all its choices together: the mean, rounded up. */
  outputTokens: number
  /** Of the input, in millionths, what the provider had in its cache. */
  cachedShare: number
}
