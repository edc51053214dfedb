/** `tollgate.tiers`: how many calls a user may make in a day and a month, by the tier of the organization that pays. */
import type { Tier } from './config.ts'
import type { Field, NumberRule } from './field.ts'

const NONE: ReadonlySet<string> = new Set()
const CALLS: NumberRule = {
  what: 'a whole number of calls, or unlimited',
  example: '1000',
  least: 0,
  whole: true,
  most: 1e12,
}

/** As Ops-Center's documents state them. Whoever is not named here has no quota. */
const DEFAULTS: Readonly<Record<string, Tier>> = {
  trial: { callsPerDay: 100, callsPerMonth: 700 },
  free: { callsPerDay: 100, callsPerMonth: 700 },
  starter: { callsPerDay: 34, callsPerMonth: 1_000 },
  professional: { callsPerDay: 334, callsPerMonth: 10_000 },
}

/** Tiers that are left out keep their numbers, and so do numbers. By the name of the tier as `tierName` writes it. */
export function readTiers(field: Field | null): Readonly<Record<string, Tier>> {
  const tiers: Record<string, Tier> = { ...DEFAULTS }
  for (const one of field?.section()?.rest() ?? []) {
    const section = one.section()
    const before = tiers[tierName(one.name)]
    const calls = (name: string, otherwise: number | null | undefined): number | null => {
      const setting = section?.take(name)
      if (setting === undefined || setting.empty) return otherwise ?? null
      return setting.rawText()?.trim() === 'unlimited' ? null : setting.number(CALLS)
    }
    tiers[tierName(one.name)] = {
      callsPerDay: calls('calls_per_day', before?.callsPerDay),
      callsPerMonth: calls('calls_per_month', before?.callsPerMonth),
    }
    section?.finish(NONE, section.known)
  }
  return tiers
}

/** One that nobody knows stops the start: quotas would begin anew at the wrong hour. */
export function readTimeZone(field: Field | null): string {
  const name = field?.text('the name of a time zone')?.trim() ?? 'UTC'
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone === 'UTC' ? 'UTC' : name
  } catch {
    field?.error('not the name of a time zone', 'write time_zone: Europe/Berlin, or leave it out for UTC')
    return 'UTC'
  }
}

/** `Founders_Friend` and `founders-friend` are one tier. */
export function tierName(written: string): string {
  return written
    .trim()
    .toLowerCase()
    .replaceAll(/[_\s]+/g, '-')
}
