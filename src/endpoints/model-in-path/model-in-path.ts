/**
 * The same endpoints with the model in the path, as Azure's clients and OpenAI's oldest ask: `/openai/deployments/{model}/chat/completions`,
 * `/engines/{model}/completions`. The path decides, whatever the body names.
 */
import { bareName, type Form } from '../../../providers/flat-request.ts'
import { changeMembers, objectMembers } from '../../../providers/json-members.ts'
import type { Endpoint } from '../../call/endpoint.ts'
import type { JsonObject } from '../../http/json-object.ts'
import { requestPath } from '../../http/request-path.ts'
import type { MountedEndpoint } from '../endpoints.ts'

const PREFIXES = ['/openai/deployments/', '/engines/'] as const
/** What those clients ask for, after the model. */
const ASKED: ReadonlySet<string> = new Set([
  ...['chat/completions', 'completions', 'embeddings', 'images/generations', 'images/edits'],
  ...['audio/speech', 'audio/transcriptions', 'audio/translations'],
])

/** Both paths of an endpoint; null for one that is not asked so. */
export function pathsWithModel({ paths: [path] }: Pick<MountedEndpoint, 'paths'>): [string, string] | null {
  const suffix = suffixOf(path)
  return suffix === null ? null : [`${PREFIXES[0]}{model}/${suffix}`, `${PREFIXES[1]}{model}/${suffix}`]
}

export function describedInPath({ operation, paths: [path] }: MountedEndpoint): MountedEndpoint['operation'] {
  const model = { name: 'model', in: 'path' as const, required: true, schema: { type: 'string' as const } }
  const parameters = [...(operation.parameters ?? []), model] as NonNullable<typeof operation.parameters>
  return { ...operation, summary: `The same as ${path}`, parameters }
}

/** What a path asks for: the longest end that is an endpoint's, and before it the model, which may hold slashes. */
export function askedInPath(url: string, all: readonly MountedEndpoint[]): Endpoint | null {
  const path = requestPath(url)
  const prefix = PREFIXES.find((one) => path.startsWith(one))
  if (prefix === undefined) return null
  const rest = path.slice(prefix.length)
  const found = all
    .flatMap(({ endpoint, paths }) => {
      const suffix = suffixOf(paths[0])
      return suffix !== null && rest.endsWith(`/${suffix}`) ? [{ endpoint, suffix }] : []
    })
    .sort((a, b) => b.suffix.length - a.suffix.length)[0]
  if (found === undefined) return null
  const model = rest
    .slice(0, -found.suffix.length - 1)
    .split('/')
    .map(decodeURIComponent)
    .join('/')
  return withModel(found.endpoint, model)
}

function suffixOf(path: string): string | null {
  const suffix = path.replace(/^\/v1\//, '')
  return ASKED.has(suffix) ? suffix : null
}

/** An Idempotency-Key is bound to the model too, which is not in the body. */
function withModel(endpoint: Endpoint, model: string): Endpoint {
  const { readForm } = endpoint
  return {
    ...endpoint,
    name: `${endpoint.name} ${model}`,
    read: (body, sent) => endpoint.read(naming(body, model), sent),
    ...(readForm === undefined ? {} : { readForm: (form, sent) => readForm(namingInForm(form, model), sent) }),
  }
}

function naming(body: JsonObject, model: string): JsonObject {
  if (body.json.model === model) return body
  const text = changeMembers(body.text, body.members, [{ key: 'model', value: JSON.stringify(model) }])
  return { ...body, text, members: objectMembers(text), json: { ...body.json, model } }
}

function namingInForm(form: Form, model: string): Form {
  return { ...form, fields: [['model', model], ...form.fields.filter(([name]) => bareName(name) !== 'model')] }
}
