/** A request as Google gets it: the caller's bytes, with only those members changed that must be. */
import type { GenerateCall } from '../../generate.ts'
import { asObject } from '../../json.ts'
import { type Change, changeMembers, objectMembers } from '../../json-members.ts'
import { NEVER_SENT } from '../../known-members/additions.ts'
import type { UpstreamRequest } from '../../provider.ts'
import { BASE_URL, googleTarget } from '../request.ts'
import { askedThinkingBudget, loweredBudget } from '../thinking.ts'
import { askedOf, configDefaults, safetyDefault } from './asked.ts'

type Json = Readonly<Record<string, unknown>>

export function preparePassed(call: GenerateCall): UpstreamRequest {
  const { request, model, apiKey, apiBase, extraHeaders } = call
  const target = googleTarget(apiBase ?? BASE_URL, {
    model,
    // Without alt=sse a stream is one JSON array, and nothing of it could be told from the rest before its end.
    method: request.stream ? 'streamGenerateContent?alt=sse' : 'generateContent',
    accept: request.stream ? 'text/event-stream' : 'application/json',
    apiKey,
    extraHeaders,
  })
  return { ...target, body: passedBody(call) }
}

function passedBody(call: GenerateCall): Buffer {
  const { request, defaults } = call
  const { text, members, json } = request
  const changes: Change[] = [...NEVER_SENT, 'model']
    .filter((key) => Object.hasOwn(json, key))
    .map((key) => ({ key, remove: true }))
  for (const [key, value] of Object.entries(safetyDefault(json, defaults)))
    changes.push({ key, value: JSON.stringify(value) })
  const config = configChanges(call)
  if (config.length > 0) changes.push({ key: 'generationConfig', value: changedConfig(call, config) })
  return changes.length === 0 ? text : changeMembers(text, members, changes)
}

function changedConfig({ request: { text, members, json } }: GenerateCall, changes: readonly Change[]): string {
  const own = members.find(({ key }) => key === 'generationConfig')
  const isThere = own !== undefined && asObject(json.generationConfig) !== null
  const config = isThere ? text.subarray(own.valueStart, own.end) : Buffer.from('{}')
  return changeMembers(config, objectMembers(config), changes).toString('utf8')
}

function configChanges({ request, model, defaults, outputCap }: GenerateCall): Change[] {
  const added: Record<string, unknown> = { ...configDefaults(request.json, model, defaults) }
  const asked = askedOf(request.json, model, defaults)
  if (outputCap !== null && outputCap < (asked.outputCap ?? Number.POSITIVE_INFINITY)) {
    added.maxOutputTokens = outputCap
    const lowered = loweredThinking(asObject(asked.json.generationConfig) ?? {}, outputCap)
    if (lowered !== null) added.thinkingConfig = lowered
  }
  return Object.entries(added).map(([key, value]) => ({ key, value: JSON.stringify(value) }))
}

/** Thoughts count against the cap: their budget goes down with it. */
function loweredThinking({ thinkingConfig }: Json, cap: number): Json | null {
  const thinking = asObject(thinkingConfig)
  const budget = askedThinkingBudget(thinking)
  return thinking === null || budget === null ? null : { ...thinking, thinkingBudget: loweredBudget(budget, cap) }
}
