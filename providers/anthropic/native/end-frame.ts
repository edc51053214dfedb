/** The event that ends a message: why it ended, what it used, what it cost. */
import { type Change, changeMembers, objectMembers } from '../../json-members.ts'
import { usageWithCost } from '../../usage-with-cost.ts'

/** Of a stream that we stopped. */
const STOPPED = Buffer.from('{"type":"message_delta","delta":{"stop_reason":"max_tokens","stop_sequence":null}}')

export interface Ended {
  cost: string | null
  usage: unknown
  /** What is shown is `usage`, whatever was stated. */
  replaces: boolean
}

/** @param payload of the provider's event; null where there was none. */
export function endFrame(payload: Buffer | null, { cost, usage, replaces }: Ended): Buffer {
  const text = payload ?? STOPPED
  const members = objectMembers(text)
  const own = members.find(({ key }) => key === 'usage')
  const stated = own === undefined || replaces ? null : text.subarray(own.valueStart, own.end)
  const change: Change = { key: 'usage', value: usageWithCost(stated, cost, usage).toString('utf8') }
  return Buffer.concat([HEAD, changeMembers(text, members, [change]), TAIL])
}

const HEAD = Buffer.from('event: message_delta\ndata: ')
const TAIL = Buffer.from('\n\n')
