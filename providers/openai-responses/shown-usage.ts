/** The usage object its caller sees: the provider's own, with our price as `cost` and without what it charges us. */
import { type Change, changeMembers, objectMembers } from '../json-members.ts'
import { COST_FIELDS } from '../shown-usage.ts'

/**
 * @param text the usage object as it was stated; null where there is none to be shown
 * @param cost dollars, a JSON number; null leaves all costs as they were stated (the caller's own key paid)
 */
export function shownResponseUsage(text: Buffer | null, cost: string | null, usage: unknown): Buffer {
  const shown = text ?? Buffer.from(JSON.stringify(usage))
  if (cost === null) return shown
  const changes: Change[] = [...COST_FIELDS.map((key): Change => ({ key, remove: true })), { key: 'cost', value: cost }]
  return changeMembers(shown, objectMembers(shown), changes)
}
