/** `+12.5 % of before`, in words that say what is compared. Whole arithmetic: amounts are never floats. */
export function changeOf(now: bigint, before: bigint): string {
  if (before === 0n) return now === 0n ? 'as before' : 'nothing before'
  const tenths = ((now - before) * 1_000n) / before
  if (tenths === 0n) return 'as before'
  const size = tenths < 0n ? -tenths : tenths
  return `${tenths < 0n ? '−' : '+'}${size / 10n}.${size % 10n} % against before`
}
