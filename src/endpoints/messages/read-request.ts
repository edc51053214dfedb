/** Reads a message request: checks what we rely on and leaves the rest as it is. */
import type { IncomingHttpHeaders } from 'node:http'
import { noCuts } from '../../../providers/cut-texts.ts'
import { KNOWN_MESSAGE } from '../../../providers/known-members/additions.ts'
import { strangersIn } from '../../../providers/known-members/shape.ts'
import type { MessagesRequest } from '../../../providers/messages.ts'
import type { JsonObject } from '../../http/json-object.ts'
import { bad, modelNameOf, OUTPUT_CAP_MAX, refuseAlias } from '../read-members.ts'

/** Headers that are passed to the provider. */
const PASSED = ['anthropic-version', 'anthropic-beta']

/** @param usualCap the cap of a request that need not state one. @throws {TollgateError} 400, naming the member that is wrong. */
export function readMessagesRequest(
  { text, members, json, cuts }: JsonObject,
  headers: IncomingHttpHeaders,
  usualCap?: number,
): MessagesRequest {
  const strangers = strangersIn(json, KNOWN_MESSAGE)
  for (const { path } of strangers) refuseAlias(path, KNOWN_MESSAGE)
  const model = modelNameOf(json)
  const { messages, max_tokens: cap = usualCap, stream = null } = json
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
    cuts: cuts ?? noCuts(),
    members,
    json,
    model,
    stream: stream === true,
    outputCap: cap,
    strangers,
    headers: Object.fromEntries(passed),
  }
}

function isListOfObjects(value: unknown): value is readonly object[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'object' && one !== null && !Array.isArray(one))
}
