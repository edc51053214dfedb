/** A whole response, shown as it came but for the model's name and its cost. */
import { type Change, changeMembers, objectMembers } from '../../json-members.ts'
import type { ProviderError, ProviderResponse } from '../../provider.ts'
import { usageWithCost } from '../../usage-with-cost.ts'
import { readAnswer } from '../read-answer.ts'

/** Null where the body is neither a response nor an error. */
export function readPassedResponse(
  body: Buffer,
  asked: string,
  model: string,
): ProviderResponse | ProviderError | null {
  const read = readAnswer(body, model)
  if (read === null || 'kind' in read) return read
  const { candidates, blocked, stated, facts } = read
  const reasons = candidates.map(({ finishReason }) => finishReason)
  return {
    ...facts,
    finishReasons: reasons.length === 0 && blocked !== null ? ['content_filter'] : reasons,
    hasContent: facts.hasContent || candidates.some(({ said }) => said.others.length > 0),
    body: (cost, usage, replaces = false) =>
      shownAs(body, asked, { cost, usage, replaces: replaces || stated === null }),
  }
}

export interface ShownUsage {
  cost: string | null
  usage: unknown
  /** What is shown is `usage`, whatever was stated. */
  replaces: boolean
}

/** @param payload a response, or a frame of one. */
export function shownAs(payload: Buffer, asked: string, { cost, usage, replaces }: ShownUsage): Buffer {
  const members = objectMembers(payload)
  const own = members.findLast(({ key }) => key === 'usageMetadata')
  const stated = replaces || own === undefined ? null : payload.subarray(own.valueStart, own.end)
  const changes: Change[] = [{ key: 'usageMetadata', value: usageWithCost(stated, cost, usage).toString('utf8') }]
  return changeMembers(payload, members, [...changes, ...nameChanges(payload, members, asked)])
}

export function nameChanges(payload: Buffer, members: ReturnType<typeof objectMembers>, asked: string): Change[] {
  const own = members.findLast(({ key }) => key === 'modelVersion')
  const name = JSON.stringify(asked)
  if (own === undefined || payload.toString('utf8', own.valueStart, own.end) === name) return []
  return [{ key: 'modelVersion', value: name }]
}
