/** By what a provider that speaks Responses differs from OpenAI there. */
export interface ResponsesFacts {
  /** Its own tools that cost a fee for each use, which its numbers leave to a price list. */
  billedTools: readonly string[]
  /** It runs its own tools no more often than `max_tool_calls` says, so that a bound of ours can go along. */
  boundsTools: boolean
  /** It keeps responses unless it is told not to. */
  stores: boolean
  /** It returns thoughts encrypted to who asks for them, so that they go along with the next request. */
  encryptsThoughts: boolean
  /** The least `max_output_tokens` it takes. */
  leastOutput: number
}
