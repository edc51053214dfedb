/** Google's own tools in a request of its own dialect, and what of the request can't be metered. */
import { asObject } from '../../json.ts'
import type { Refusal, ServerTool } from '../../provider.ts'
import { serverTool } from '../tools.ts'

type Json = Readonly<Record<string, unknown>>

/** Its name in a request, and ours for its price. A `computerUse` acts where the caller is. */
const KINDS: Readonly<Record<string, string | null>> = {
  functionDeclarations: null,
  computerUse: null,
  googleSearch: 'web_search',
  googleSearchRetrieval: 'web_search',
  codeExecution: 'code_execution',
  urlContext: 'url_context',
  googleMaps: 'google_maps',
}

/** A list that has one element may be written without its brackets. */
export function listOf(value: unknown): readonly unknown[] {
  if (value === undefined || value === null) return []
  return Array.isArray(value) ? value : [value]
}

export function passedTools(json: Json, model: string): ServerTool[] {
  const kinds = new Set(
    listOf(json.tools)
      .flatMap(membersOf)
      .flatMap((name) => (Object.hasOwn(KINDS, name) ? (KINDS[name] ?? []) : [])),
  )
  return [...kinds].map((kind) => serverTool(kind, model))
}

function membersOf(tool: unknown): string[] {
  return Object.entries(asObject(tool) ?? {}).flatMap(([name, value]) => (value === null ? [] : [name]))
}

/** What lies in the operator's account is every caller's, and tells no size; others choose the model, and with it the price. */
const UNMETERED: readonly (readonly [member: string, message: string])[] = [
  [
    'cachedContent',
    'What a cache holds lies in the operator’s account and can’t be priced before the call. Send it in "contents".',
  ],
  ['labels', 'Labels of the bill are the operator’s.'],
]
const UNMETERED_CONFIG: readonly string[] = ['routingConfig', 'modelSelectionConfig']

export function passedRefusals(json: Json): Refusal[] {
  const never = (param: string, message: string): Refusal => ({ param, message, droppable: false })
  const refusals = UNMETERED.filter(([member]) => (json[member] ?? null) !== null).map(([param, message]) =>
    never(param, `${message} Leave '${param}' out.`),
  )
  const config = asObject(json.generationConfig) ?? {}
  for (const name of UNMETERED_CONFIG)
    if ((config[name] ?? null) !== null)
      refusals.push(never(`generationConfig.${name}`, 'Which model serves is said in the path. Leave it out.'))
  for (const [index, tool] of listOf(json.tools).entries()) {
    const unknown = asObject(tool) === null ? '' : membersOf(tool).find((name) => !Object.hasOwn(KINDS, name))
    const place = `tools[${index}]${unknown ? `.${unknown.slice(0, 64)}` : ''}`
    if (unknown !== undefined)
      refusals.push(never(place, 'No price is known for such a tool. Leave it out, or send functions.'))
    if (asObject(asObject(asObject(tool)?.googleSearch)?.searchTypes)?.imageSearch !== undefined)
      refusals.push(never(`tools[${index}].googleSearch.searchTypes`, 'No price is known for a search of images.'))
  }
  return refusals
}
