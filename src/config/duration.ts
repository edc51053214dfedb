/**
 * LiteLLM's durations, `30s`, `30m`, `12h`, `30d`, `2w`, `1mo`: how long a key is good, and how long a window of a budget is. Windows begin
 * by the calendar, in UTC: a day at midnight, a week on Monday, 30 days and a month on the first; see tollgate.ledger_window_start.
 */

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 }
const WORDS: Readonly<Record<string, string>> = { hourly: '1h', daily: '1d', weekly: '7d', monthly: '1mo' }
/** Those with a name of their own; 30 days are LiteLLM's month. */
const WINDOWS: ReadonlyMap<number, string> = new Map([
  [3_600, 'hour'],
  [86_400, 'day'],
  [604_800, 'week'],
  [2_592_000, 'month'],
])
const YEARS_MAX = 10

interface Length {
  seconds: number
  months: number
}

/** Null for what is no duration, and for more than ten years. */
export function readDuration(text: string): Length | null {
  const [, digits = '', unit = ''] = /^(\d{1,9})(mo|[smhdw])$/.exec(WORDS[text] ?? text) ?? []
  const count = Number(digits)
  if (count < 1) return null
  if (unit === 'mo') return count <= YEARS_MAX * 12 ? { seconds: 0, months: count } : null
  const seconds = count * (SECONDS[unit] ?? 0)
  return seconds <= YEARS_MAX * 365 * 86_400 ? { seconds, months: 0 } : null
}

/** @param text a duration. @returns as ledger_window_start reads it. */
export function windowOf(text: string): string {
  const { seconds, months } = readDuration(text) ?? { seconds: 0, months: 1 }
  if (months > 0) return months === 1 ? 'month' : `${months}mo`
  return WINDOWS.get(seconds) ?? `${seconds}s`
}
