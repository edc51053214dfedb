/** Reads a request whose tokens are counted: it has contents, or the whole request in one member. */
import { objectMembers } from '../../../providers/json-members.ts'
import type { Endpoint } from '../../call/endpoint.ts'
import type { JsonObject } from '../../http/json-object.ts'
import { bad } from '../read-members.ts'
import { generateContent } from './generate-content.ts'

const WHOLE = ['generateContentRequest', 'generate_content_request']

export function countedContent(model: string): Pick<Endpoint, 'read'> {
  const { read } = generateContent({ model, stream: false, isArray: false })
  return { read: (body, sent) => read(wholeOf(body), sent) }
}

function wholeOf(body: JsonObject): JsonObject {
  const names = WHOLE.filter((name) => body.json[name] !== undefined)
  const [name] = names
  if (name === undefined) return body
  if (Object.keys(body.json).length > 1) throw bad(name, `'${name}' is the whole request. Leave the other members out.`)
  const json = body.json[name]
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw bad(name, `"${name}" must be an object.`)
  const text = Buffer.from(JSON.stringify(json))
  return { text, members: objectMembers(text), json: json as Readonly<Record<string, unknown>> }
}
