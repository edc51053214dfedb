/** What credits cost where they are bought: $1 is 1,000 credits, and more for larger sums. */

/** Cents to credits. */
export const CREDIT_PACKAGES: ReadonlyMap<number, number> = new Map([
  [1_000, 10_000],
  [5_000, 55_000],
  [10_000, 120_000],
])

const SMALLEST_RATE = 10

/** The most credits a sum of cents buys: at the rate of the largest package it reaches. */
export function creditsFor(cents: number): number {
  const reached = [...CREDIT_PACKAGES].filter(([price]) => price <= cents).at(-1)
  return cents * (reached === undefined ? SMALLEST_RATE : reached[1] / reached[0])
}
