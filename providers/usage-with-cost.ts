/** The usage object that the caller of a native dialect sees: the provider's own, with our price as `cost`, or the charge's where it is not the one stated. */

import { asObject } from './json.ts'
import { type Change, changeMembers, objectMembers } from './json-members.ts'

/**
 * @param text the usage object as it was stated; null where there is none to be shown
 * @param cost dollars, a JSON number; null leaves it as it came (the caller's own key paid)
 */
export function usageWithCost(text: Buffer | null, cost: string | null, usage: unknown): Buffer {
  const shown = text ?? Buffer.from(JSON.stringify(asObject(usage) ?? {}))
  if (cost === null) return shown
  const change: Change = { key: 'cost', value: cost }
  return changeMembers(shown, objectMembers(shown), [change])
}
