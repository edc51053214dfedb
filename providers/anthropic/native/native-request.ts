/** A request as Anthropic gets it: the caller's bytes, with only those members changed that must be. */
import { asObject } from '../../json.ts'
import { type Change, changeMembers } from '../../json-members.ts'
import { KNOWN_MESSAGE, NEVER_SENT } from '../../known-members/additions.ts'
import type { MessagesCall } from '../../messages.ts'
import type { UpstreamRequest } from '../../provider.ts'
import { claudeTarget, namesIn } from '../target.ts'
import { hasBudget, lowered } from '../thinking.ts'

export function prepareNative(call: MessagesCall): UpstreamRequest {
  const { stream, headers } = call.request
  const said = { stream, betas: namesIn(headers['anthropic-beta']), version: headers['anthropic-version'] }
  return { ...claudeTarget(call, said), body: nativeBody(call) }
}

function nativeBody(call: MessagesCall): Buffer {
  const { request, model } = call
  const changes = nativeChanges(call)
  if (model !== request.model) changes.push({ key: 'model', value: JSON.stringify(model) })
  return changes.length === 0 ? request.text : changeMembers(request.text, request.members, changes)
}

/** What of a request can't go out as it is, whoever hosts the model; its name is left to the host. */
export function nativeChanges({ request: { json, outputCap: own }, defaults, outputCap }: MessagesCall): Change[] {
  const changes: Change[] = NEVER_SENT.filter((key) => Object.hasOwn(json, key)).map((key) => ({ key, remove: true }))
  for (const [key, value] of Object.entries(defaults))
    if (KNOWN_MESSAGE.members.has(key) && !Object.hasOwn(json, key)) changes.push({ key, value: JSON.stringify(value) })
  if (outputCap !== null && outputCap < own) changes.push(...capChanges(json, outputCap))
  return changes
}

/** Thoughts count against the cap: their budget goes down with it. */
function capChanges(json: Readonly<Record<string, unknown>>, cap: number): Change[] {
  const changes: Change[] = [{ key: 'max_tokens', value: String(cap) }]
  const thinking = asObject(json.thinking)
  if (thinking !== null && hasBudget(thinking) && Number(thinking.budget_tokens) >= cap)
    changes.push({ key: 'thinking', value: JSON.stringify(lowered(thinking, cap)) })
  return changes
}
