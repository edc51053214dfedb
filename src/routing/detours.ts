/** Groups that stand in for a group that failed, in LiteLLM's order: each with those that stand in for it behind it. Pure. */
import type { ProviderErrorKind } from '../../providers/provider.ts'
import type { Fallbacks, FallbackTable } from '../config/routing-settings.ts'

export interface Detours {
  /** The group to ask after the last one failed so; null where there is none, or as many were asked as may be. */
  next(kind: ProviderErrorKind): string | null
}

/** @param first the group that was asked for. @param most how many may stand in; none is asked twice, so circles end. */
export function createDetours(fallbacks: Fallbacks, first: string, most: number): Detours {
  const seen = new Set([first])
  const waiting: string[] = []
  let current = first
  let count = 0
  return {
    next(kind) {
      waiting.unshift(...standInsOf(fallbacks, current, kind))
      for (;;) {
        const group = waiting.shift()
        if (group === undefined || count >= most) return null
        if (seen.has(group)) continue
        seen.add(group)
        count += 1
        current = group
        return group
      }
    },
  }
}

/** A request that is too long, or was filtered, goes by the table of its kind wherever there is one; everything else, and it without one, by the general. */
function standInsOf({ general, contextWindow, contentPolicy }: Fallbacks, group: string, kind: ProviderErrorKind) {
  const own = kind === 'context_length' ? contextWindow : kind === 'content_filter' ? contentPolicy : general
  return lookUp(Object.keys(own).length === 0 ? general : own, group)
}

/** Whether something stands in for a group that failed, not only where it was too small or too strict. */
export function hasStandIn({ general }: Pick<Fallbacks, 'general'>, group: string): boolean {
  return lookUp(general, group).length > 0
}

/** The same, whatever fails. */
export function hasAnyStandIn({ general, contextWindow, contentPolicy }: Fallbacks, group: string): boolean {
  return [general, contextWindow, contentPolicy].some((table) => lookUp(table, group).length > 0)
}

function lookUp(table: FallbackTable, group: string): readonly string[] {
  return (Object.hasOwn(table, group) ? table[group] : table['*']) ?? []
}
