/** What every call has, whatever the dialect of its endpoint. */
import type { Path } from './known-members/shape.ts'

export interface DeploymentCall {
  /** The provider's name of the model. */
  model: string
  apiKey: string | null
  /** Overrides the provider's base URL. No trailing slash. */
  apiBase: string | null
  organization: string | null
  extraHeaders: Readonly<Record<string, string>>
  /** Request members the operator set for this deployment, in the words of chat completions; the caller's win. */
  defaults: Readonly<Record<string, unknown>>
  /** Members the provider can't honour, to be left out: what `refuses` named, where the operator lets them be dropped. */
  drop: readonly string[]
  /** Single members below those, to be left out too: what this server is not known to take. */
  dropAt: readonly Path[]
  /** What the quote assumed at most, for a server that chooses who serves; null where nobody pays here. */
  maxPrice: MaxPrice | null
}

/** Nano-dollars per million tokens. */
export interface MaxPrice {
  input: bigint
  output: bigint
}
