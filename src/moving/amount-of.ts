/** An amount of a row; what is wrong with it is named. */
import type { Findings } from './finding.ts'
import { readCredits } from './read-credits.ts'
import type { SourceRow } from './source.ts'

interface AmountAt {
  table: string
  column: string
  findings: Findings
  at: { row: string | null; organization: string; user?: string | null }
}

export function amountOf(row: SourceRow, { table, column, findings, at }: AmountAt): bigint {
  const text = row[column] ?? null
  const { micro, problem } = readCredits(text)
  if (problem === 'null') findings.add('changed', 'missing_value', table, `${column} is NULL; here it is 0.`, at)
  if (problem === 'no_number')
    findings.add('changed', 'unreadable_amount', table, `${column} is ${text}; here it is 0.`, at)
  if (problem === 'fraction')
    findings.add('changed', 'fractional_credits', table, `${column} is not whole: ${text}. Carried exactly.`, {
      ...at,
      credits: micro,
    })
  if (problem === 'rounded')
    findings.add('changed', 'fractional_credits', table, `${column} is ${text}; here it is rounded to six decimals.`, {
      ...at,
      credits: micro,
    })
  return micro
}
