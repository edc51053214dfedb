/** What of a request for a response is not served: what somebody else's account would hold, and what nobody could meter. */
import { asObject } from '../json.ts'
import type { Refusal } from '../provider.ts'

type Json = Readonly<Record<string, unknown>>

const SEND_ALL =
  'Send the whole conversation in "input", with the reasoning items as they came (store: false, include: ["reasoning.encrypted_content"])'
const NOT_KEPT =
  'is not kept here. Responses are kept only where the operator sets tollgate.kept_responses_hours, for so long, for the user they were made for, and not where "store" is false'

const UNSERVED: readonly (readonly [member: string, message: string])[] = [
  ['previous_response_id', `The response that "previous_response_id" names ${NOT_KEPT}. ${SEND_ALL}.`],
  ['conversation', `Conversations are not kept here. ${SEND_ALL}.`],
  ['prompt', 'What a template holds is another account’s to know. Send its text in "instructions" and "input".'],
]

/** @param isKept the operator lets the provider keep responses, and everybody who calls through his account ask for them. */
export function unservedMembers(json: Json, isKept: boolean): Refusal[] {
  const refusals = UNSERVED.filter(
    ([member]) => (json[member] ?? null) !== null && !(isKept && member === 'previous_response_id'),
  ).map(([param, message]) => refusal(param, `${message} Leave '${param}' out.`))
  if ((json.background ?? false) !== false)
    refusals.push(
      refusal('background', "Calls that run in the background are not metered here. Leave 'background' out."),
    )
  const mode = asObject(json.reasoning)?.mode ?? 'standard'
  if (mode !== 'standard') refusals.push(refusal('reasoning.mode', "Only reasoning.mode 'standard' is metered here."))
  const compared = asObject(json.prompt_cache_options)?.comparison_response_id ?? null
  if (compared !== null)
    refusals.push(refusal('prompt_cache_options.comparison_response_id', 'Nothing is kept here to compare with.'))
  const reference = (Array.isArray(json.input) ? json.input : []).findIndex(isReference)
  if (reference >= 0 && !isKept) {
    const message = `What "input[${reference}]" refers to ${NOT_KEPT}. ${SEND_ALL}. With the AI SDK: providerOptions: { openai: { store: false } }.`
    refusals.push(refusal(`input[${reference}]`, message))
  }
  return refusals
}

/** Its type may be left out: what has neither a type nor a role is an id and nothing else. */
export function isReference(value: unknown): boolean {
  const { type = null, role = null, id } = asObject(value) ?? {}
  return type === 'item_reference' || (type === null && role === null && typeof id === 'string')
}

function refusal(param: string, message: string): Refusal {
  return { param, message, droppable: false }
}
