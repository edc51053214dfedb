/** Service tiers whose price is known. */
import type { Refusal } from './provider.ts'

/** Of OpenAI, Groq and those who resell them. Another word, also one in other letters, has a price that nobody knows. */
const TIERS = ['auto', 'default', 'flex', 'priority', 'fast', 'scale', 'standard', 'on_demand', 'performance']

export function unknownTier({ service_tier: tier }: Readonly<Record<string, unknown>>, label: string): Refusal[] {
  if (tier === undefined || tier === null || (typeof tier === 'string' && TIERS.includes(tier))) return []
  const message = `${label} has no such service tier. Leave 'service_tier' out, or write one of ${TIERS.join(', ')}.`
  return [{ param: 'service_tier', message, droppable: true }]
}
