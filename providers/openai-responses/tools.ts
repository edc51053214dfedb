/** Tools of a request for a response: whose they are, wherever in the request they are defined. */
import { asObject } from '../json.ts'
import { count } from '../openai-usage.ts'
import type { ServerTool } from '../provider.ts'
import type { ResponsesFacts } from './facts.ts'

type Json = Readonly<Record<string, unknown>>

/**
 * Nano-dollars held for a call whose caller lists a web search, where the operator names no surcharge: coding agents list one with every
 * call, and what was not used costs nothing. Five searches at the published cent each.
 */
export const SEARCHES_HELD = 50_000_000n
/** So many uses are allowed where the request does not say: as many as are held for. */
const USUAL_USES = 5
/** More uses than this nobody asks for. */
const USES_MAX = 1_000

/** Run by whoever asked: the response holds a call, and the next request its result. */
const CALLERS: ReadonlySet<string> = new Set([
  ...['function', 'custom', 'local_shell', 'apply_patch', 'computer', 'computer_use_preview'],
])

/** Every tool the request defines, also in its items and in namespaces. */
export function toolsOf({ tools, input }: Json): Json[] {
  const found: Json[] = []
  const open: unknown[] = [tools]
  for (const item of Array.isArray(input) ? input : []) open.push(asObject(item)?.tools)
  for (let list = open.pop(); list !== undefined || open.length > 0; list = open.pop()) {
    for (const value of Array.isArray(list) ? list : []) {
      const tool = asObject(value)
      if (tool === null) continue
      found.push(tool)
      if (tool.tools !== undefined) open.push(tool.tools)
    }
  }
  return found
}

/** What the provider runs itself; null for a tool of the caller's own. */
export function kindOf({ type, environment, execution }: Json): string | null {
  if (typeof type !== 'string' || type === 'namespace' || CALLERS.has(type)) return null
  if (type === 'shell' && asObject(environment)?.type === 'local') return null
  if (type === 'tool_search' && execution === 'client') return null
  return type.replace(/_\d{4}_\d{2}_\d{2}$/, '').slice(0, 64)
}

/** @param reasons of the model: a preview of the search costs more where it does not. */
export function responseTools(json: Json, { billedTools }: ResponsesFacts, reasons: boolean): ServerTool[] {
  const kinds = new Set<string>()
  for (const tool of toolsOf(json)) {
    const kind = kindOf(tool)
    if (kind !== null) kinds.add(kind === 'web_search_preview' && reasons ? 'web_search' : kind)
  }
  if (isCompacted(json)) kinds.add('context_management')
  const uses = usesOf(json)
  return [...kinds].map((kind) => ({
    kind,
    uses,
    addsInput: true,
    billedByUse: billedTools.includes(kind),
    ...(kind === 'web_search' ? { usualHold: SEARCHES_HELD } : {}),
  }))
}

/** Of all its own tools together. */
function usesOf({ max_tool_calls: most }: Json): number {
  return Math.min(USES_MAX, count(most) ?? USUAL_USES)
}

/** The bound that goes along where the caller names none; null where there is nothing to bound. */
export function toolBound(json: Json, { boundsTools }: ResponsesFacts): number | null {
  if (!boundsTools || count(json.max_tool_calls) !== null) return null
  return toolsOf(json).some((tool) => kindOf(tool) !== null) ? USUAL_USES : null
}

/** What is compacted is read once more, and written. */
function isCompacted({ context_management: management, input }: Json): boolean {
  if (Array.isArray(management) && management.length > 0) return true
  return Array.isArray(input) && input.some((item) => asObject(item)?.type === 'compaction_trigger')
}

/** By what its item is called, the kind of tool a call was of. Others have no fee of their own. */
const CALLS: Readonly<Record<string, string>> = {
  web_search_call: 'web_search',
  file_search_call: 'file_search',
  code_interpreter_call: 'code_interpreter',
  image_generation_call: 'image_generation',
  mcp_call: 'mcp',
}

/** Uses of its own tools by what its output holds. A page that was opened or looked through is no search. */
export function usesIn(output: readonly unknown[]): Record<string, number> {
  const uses: Record<string, number> = {}
  for (const value of output) {
    const item = asObject(value)
    const kind = typeof item?.type === 'string' && Object.hasOwn(CALLS, item.type) ? CALLS[item.type] : undefined
    if (kind === undefined) continue
    const action = asObject(item?.action)?.type ?? 'search'
    if (action === 'search' || kind !== 'web_search') uses[kind] = (uses[kind] ?? 0) + 1
  }
  return uses
}
