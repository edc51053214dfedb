/** When resets and refreshes are due, counted here in another way than the ledger counts: in UTC, one instant after the other. */

export type Period = 'daily' | 'weekly' | 'monthly'

const DAY_MS = 86_400_000

/** Every instant of the series that begins with `first` and is at most `until`. A month keeps the day of `anchor`, or ends with it. */
export function dueBetween(period: Period, { first, anchor }: { first: Date; anchor: Date }, until: Date): Date[] {
  const due: Date[] = []
  for (let index = 0; ; index += 1) {
    const at =
      period === 'monthly' ? inMonth(first, anchor, index) : afterDays(first, index * (period === 'daily' ? 1 : 7))
    if (at > until) return due
    due.push(at)
  }
}

function afterDays(first: Date, days: number): Date {
  return new Date(first.getTime() + days * DAY_MS)
}

function inMonth(first: Date, anchor: Date, months: number): Date {
  const month = first.getUTCMonth() + months
  const lastDay = new Date(Date.UTC(first.getUTCFullYear(), month + 1, 0)).getUTCDate()
  const at = new Date(first)
  at.setUTCFullYear(first.getUTCFullYear(), month, Math.min(anchor.getUTCDate(), lastDay))
  return at
}
