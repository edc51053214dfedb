/** A request to a management route as its handler sees it: who asks, for what, and how a change is to be logged. */
import type { Caller } from '../../identity/caller.ts'
import type { Change } from '../../vault/vault.ts'

export interface ApiRequest {
  caller: Caller
  /** Of the path. */
  param(name: string): string
  query(name: string): string | undefined
  /** An empty object where nothing was sent. */
  body(): Promise<Readonly<Record<string, unknown>>>
  change: Change
}
