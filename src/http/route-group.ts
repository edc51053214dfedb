/** The groups that routes fall into, by their paths: what a key can be restricted to, and what rate limits go by. */

export const ROUTE_GROUPS = ['llm', 'billing', 'usage', 'account', 'admin', 'management'] as const
export type RouteGroup = (typeof ROUTE_GROUPS)[number]

/** LiteLLM's names for groups of routes. */
const ALIASES: Readonly<Record<string, readonly RouteGroup[]>> = {
  llm_api_routes: ['llm'],
  openai_routes: ['llm'],
  anthropic_routes: ['llm'],
  management_routes: ['account', 'admin', 'management'],
  info_routes: ['usage', 'account', 'management'],
  spend_tracking_routes: ['usage'],
}

/** The first that fits. What fits none is a route for models: they have the shortest paths, and the most dialects. */
const PREFIXES: readonly (readonly [string, RouteGroup])[] = [
  ['/api/v1/llm/admin', 'admin'],
  ['/api/v1/llm/providers', 'admin'],
  ['/api/v1/llm', 'llm'],
  ['/api/v1/byok', 'llm'],
  ['/api/v1/org-billing', 'billing'],
  ['/api/v1/organizations', 'billing'],
  ['/api/v1/org', 'billing'],
  ['/api/v1/credits', 'billing'],
  ['/api/v1/usage', 'usage'],
  ['/api/v1/reports', 'usage'],
  ['/api/v1/account', 'account'],
  ['/api/v1', 'admin'],
  ['/auth', 'account'],
  ['/spend', 'usage'],
  ['/global', 'usage'],
  ['/key', 'management'],
  ['/user', 'management'],
  ['/team', 'management'],
  ['/organization', 'management'],
  ['/customer', 'management'],
  ['/end_user', 'management'],
  ['/budget', 'management'],
  ['/model/', 'management'],
  ['/config', 'management'],
]

export function routeGroupOf(path: string): RouteGroup {
  return PREFIXES.find(([prefix]) => path.startsWith(prefix) && isWhole(path, prefix))?.[1] ?? 'llm'
}

/** `/key` is not the beginning of `/keyhole`. */
function isWhole(path: string, prefix: string): boolean {
  return path.length === prefix.length || path[prefix.length] === '/' || prefix.endsWith('/')
}

/** Whether a restriction can be understood: a group, a name of LiteLLM's, or a path that may end in `*`. */
export function isRouteRule(rule: string): boolean {
  return rule.startsWith('/')
    ? !/[\s?#]|\*./.test(rule)
    : rule in ALIASES || ROUTE_GROUPS.some((group) => group === rule)
}

/** Whether one of the rules lets this path through. A path without `*` stands for itself alone. */
export function isRouteAllowed(rules: readonly string[], path: string): boolean {
  const group = routeGroupOf(path)
  return rules.some((rule) => {
    if (rule.startsWith('/')) return rule.endsWith('*') ? path.startsWith(rule.slice(0, -1)) : path === rule
    return rule === group || ALIASES[rule]?.includes(group) === true
  })
}
