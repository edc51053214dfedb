/** Plain text tables and numbers for people. */
import { spreadOf } from './spread.ts'

/** The first column to the left, all others to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((_, i) => Math.max(...[head, ...rows].map((row) => row[i]?.length ?? 0)))
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  ')
  return [line(head), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.map(line)].join('\n')
}

/** Three significant digits, more where the number has them before the point: 0.123, 12.3, 12345. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '-'
  const digits = value === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))))
  return value.toFixed(Math.min(digits, 3))
}

/** The median of rounds, and the least and most in parentheses: `12.3 (11.9-14.0)`. */
export function spread(values: readonly number[], unit = ''): string {
  const { median, min, max } = spreadOf(values)
  const middle = values.length === 0 ? '-' : `${figure(median)}${unit}`
  return values.length < 2 ? middle : `${middle} (${figure(min)}-${figure(max)})`
}
