/** A message request: read, checked where we rely on it, otherwise left as it is. */
import type { IncomingHttpHeaders } from 'node:http'
import { KNOWN_MESSAGE } from '../../../providers/known-members/additions.ts'
import { aliasOf, type Stranger, showPath, strangersIn } from '../../../providers/known-members/shape.ts'
import type { MessagesRequest } from '../../../providers/messages.ts'
import { TollgateError } from '../../http/errors.ts'
import type { JsonObject } from '../../http/json-object.ts'

/** More than any model writes, and little enough for its price at any rate to fit the ledger. */
const OUTPUT_CAP_MAX = 2_147_483_647
const MODEL_NAME_MAX = 256
/** For the provider to know. */
const PASSED = ['anthropic-version', 'anthropic-beta']

/** @param usualCap of a request that need not state one. @throws {TollgateError} 400, naming the member that is wrong. */
export function readMessagesRequest(
  { text, members, json }: JsonObject,
  headers: IncomingHttpHeaders,
  usualCap?: number,
): MessagesRequest {
  const strangers = strangersIn(json, KNOWN_MESSAGE)
  for (const stranger of strangers) refuseAlias(stranger)
  const { model, messages, max_tokens: cap = usualCap, stream = null } = json
  if (typeof model !== 'string' || model.trim() === '' || model.length > MODEL_NAME_MAX)
    throw bad('model', 'Name the model to use in "model", a string. GET /v1/models lists what there is.')
  if (!isListOfObjects(messages) || messages.length === 0)
    throw bad('messages', '"messages" must be a list with at least one message, an object with "role" and "content".')
  if (typeof cap !== 'number' || !Number.isInteger(cap) || cap < 0 || cap > OUTPUT_CAP_MAX)
    throw bad('max_tokens', `"max_tokens" must be an integer from 0 to ${OUTPUT_CAP_MAX}.`)
  if (stream !== null && typeof stream !== 'boolean') throw bad('stream', '"stream" must be true or false.')
  if ((json.tools ?? null) !== null && !isListOfObjects(json.tools))
    throw bad('tools', '"tools" must be a list of objects.')
  const passed = PASSED.flatMap((name) => (typeof headers[name] === 'string' ? [[name, headers[name]] as const] : []))
  return {
    text,
    members,
    json,
    model,
    stream: stream === true,
    outputCap: cap,
    strangers,
    headers: Object.fromEntries(passed),
  }
}

/** A server may take it for the member whose name it folds to, and read another value than was priced. @throws {TollgateError} 400. */
function refuseAlias({ path }: Stranger): void {
  const name = aliasOf(path, KNOWN_MESSAGE)
  if (name === null) return
  const shown = showPath(path)
  throw bad(shown, `'${shown}' is no member of a request. Write '${name}' if that is meant, or leave it out.`)
}

function isListOfObjects(value: unknown): value is readonly object[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'object' && one !== null && !Array.isArray(one))
}

function bad(param: string, message: string): TollgateError {
  return new TollgateError(400, 'invalid_request', message, { param })
}
