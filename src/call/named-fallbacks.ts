/** The models that a request wants asked in place of its own, should that fail. */
import type { RoutingAsked } from './endpoint.ts'

export function namedFallbacks(asks: RoutingAsked | undefined): string[] {
  return Object.values(asks?.fallbacks ?? {}).flatMap((table) => Object.values(table).flat())
}
