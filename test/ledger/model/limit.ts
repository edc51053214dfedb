/** Limits as calls name them, and calls as they ask. */

/** The window is part of its name. `amount` null: only counted, or a slice, whose amount is what it was filled with. */
export interface Limit {
  kind: 'budget' | 'key' | 'proxy' | 'quota'
  id: string
  window: number
  unit: 'credits' | 'calls'
  amount: bigint | null
}

export const nameOfLimit = ({ kind, id, window }: Limit): string => `${kind} ${id} ${new Date(window).toISOString()}`

export interface HoldCall {
  call: number
  org: string
  user: string
  input: bigint
  inputBytes: bigint
  output: bigint
  least: bigint
  /** The part of the input that may be left unheld. */
  uncertain: bigint
  /** What a stream grows by next. */
  step: bigint
  limits: readonly Limit[]
  key: string | null
  /** For how long it may wait for running calls. */
  waitMs: number
  /** It says that it waits already. */
  stands: boolean
  /** Its slice was filled as far as can be. */
  sliced: boolean
}
