/** Which calls are shown, as the address says. */
import type { Scope } from '../../api/scope.ts'

export const STATES = ['running', 'answered', 'stopped', 'failed', 'client_disconnected', 'cut_off'] as const

export interface CallSearch {
  /** A call id or a request id, or the beginning of one. */
  q?: string
  state?: string
  model?: string
  key?: string
  user?: string
  scope?: Scope
}

const NAMES = ['q', 'state', 'model', 'key', 'user'] as const

export function callSearch(search: Record<string, unknown>): CallSearch {
  const said = NAMES.flatMap((name) => {
    const value = search[name]
    return typeof value === 'string' && value !== '' ? [[name, value]] : []
  })
  const { scope } = search
  return {
    ...Object.fromEntries(said),
    ...(scope === 'organization' || scope === 'system' ? { scope } : {}),
  }
}
