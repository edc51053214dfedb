/** A whole response, shown as it came but for the model's name and its cost. */
import { asObject, parseJson } from '../json.ts'
import { type Change, changeMembers, objectMembers } from '../json-members.ts'
import type { OpenAiFacts } from '../openai-facts.ts'
import type { ProviderError, ProviderResponse } from '../provider.ts'
import { emptyReading, isPaid, type Reading } from '../reading.ts'
import { brokenOff, readFailed } from './errors.ts'
import { finishOf } from './events.ts'
import { saidIn } from './said.ts'
import { shownResponseUsage } from './shown-usage.ts'
import { usesIn } from './tools.ts'
import { readResponseUsage } from './usage.ts'

/** Null where the body is neither a response nor an error. */
export function readWholeResponse(
  dialect: OpenAiFacts,
  body: Buffer,
  asked: string,
): ProviderResponse | ProviderError | null {
  const json = asObject(parseJson(body))
  if (json === null) return null
  const output: unknown[] | null = Array.isArray(json.output) ? json.output : null
  const consumed = readResponseUsage(dialect, json)
  const reading: Reading = {
    ...emptyReading(),
    ...consumed,
    model: typeof json.model === 'string' && json.model !== '' ? json.model : null,
    serviceTier: typeof json.service_tier === 'string' ? json.service_tier : null,
    toolUses: usesIn(output ?? []),
  }
  const said = () => saidIn(output)
  const isFailed = json.status === 'failed' || (output === null && asObject(json.error) !== null)
  const isEnded = json.status === undefined || json.status === 'completed' || json.status === 'incomplete'
  if (isFailed || output === null || !isEnded) {
    // No response, but it says what it cost: that is not paid for again.
    const error = isFailed ? readFailed(dialect, json) : isPaid(reading) ? brokenOff(dialect) : null
    return error !== null && isPaid(reading) ? { ...error, consumed: reading } : error
  }
  return {
    reading,
    finishReasons: [finishOf('response.completed', json)],
    hasContent: output.some((item) => asObject(item)?.type !== 'message' || saidIn(item) !== ''),
    outputText: () => (consumed === null ? said() : ''),
    shownText: said,
    body(cost, usage, replaces = false) {
      const members = objectMembers(body)
      const own = members.find(({ key }) => key === 'usage')
      const isShown = !replaces && consumed !== null && own !== undefined
      const stated = isShown ? body.subarray(own.valueStart, own.end) : null
      const changes: Change[] = [{ key: 'usage', value: shownResponseUsage(stated, cost, usage).toString('utf8') }]
      if (typeof json.model === 'string' && json.model !== asked)
        changes.push({ key: 'model', value: JSON.stringify(asked) })
      return changeMembers(body, members, changes)
    },
  }
}
