/** A whole message, shown as it came but for the model's name and its cost. */
import { asObject, parseJson } from '../../json.ts'
import { type Change, changeMembers, objectMembers } from '../../json-members.ts'
import type { ProviderError, ProviderResponse } from '../../provider.ts'
import { isPaid } from '../../reading.ts'
import { usageWithCost } from '../../usage-with-cost.ts'
import { brokenOff, readClaudeErrorEvent } from '../errors.ts'
import { readMessage, readReading, shownText } from '../response.ts'

/** Null where the body is neither a message nor an error. */
export function readNativeResponse(body: Buffer, asked: string): ProviderResponse | ProviderError | null {
  const json = asObject(parseJson(body.toString('utf8')))
  if (json?.type === 'error') return readClaudeErrorEvent(json)
  if (json === null) return null
  const reading = readReading(json)
  // This is no response, but it says what it cost, so the call is not made again.
  if (!Array.isArray(json.content)) return isPaid(reading) ? { ...brokenOff(), consumed: reading } : null
  const content = json.content as unknown[]
  const said = () => shownText(readMessage(content))
  return {
    reading,
    finishReasons: typeof json.stop_reason === 'string' ? [json.stop_reason] : [],
    hasContent: content.some((block) => asObject(block)?.type !== 'text' || asObject(block)?.text !== ''),
    outputText: () => (reading.usage === null ? said() : ''),
    shownText: said,
    body(cost, usage, replaces = false) {
      const members = objectMembers(body)
      const own = members.find(({ key }) => key === 'usage')
      const stated =
        reading.usage === null || replaces || own === undefined ? null : body.subarray(own.valueStart, own.end)
      const changes: Change[] = [{ key: 'usage', value: usageWithCost(stated, cost, usage).toString('utf8') }]
      if (typeof json.model === 'string' && json.model !== asked)
        changes.push({ key: 'model', value: JSON.stringify(asked) })
      return changeMembers(body, members, changes)
    },
  }
}
