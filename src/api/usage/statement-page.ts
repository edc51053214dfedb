/** A statement as a page that prints on paper: no script, and a style that the page's policy names by its hash. */
import { createHash } from 'node:crypto'
import { html, raw } from 'hono/html'
import type { Statement } from '../../reports/statement.ts'

const STYLE = `body{font:14px/1.5 system-ui,sans-serif;max-width:48rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%;margin:1rem 0}th,td{text-align:left;padding:.3rem .5rem;border-bottom:1px solid #ccc}
.n{text-align:right;font-variant-numeric:tabular-nums}.sum td{font-weight:600;border-top:2px solid #000}
@media print{body{margin:0;max-width:none}h2,tr{break-inside:avoid}}`

/** What `style-src` has to name for the page. */
export const STYLE_POLICY = `'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`

type Row = [section: string, name: string, calls: string | null, credits: string]

/** The lines that add up from the opening balance to the closing one. */
function balanceLines(statement: Statement): [string, string][] {
  return [
    ['Opening balance', statement.opening_balance],
    ['Purchases', statement.purchases],
    ['Refreshes of the plan', statement.refreshes],
    ['Refunds', statement.refunds],
    ['Corrections', statement.corrections],
    ['Charges', negative(statement.charges)],
    ['Closing balance', statement.closing_balance],
  ]
}

/** Every line of a statement, in the order in which it is read. */
export function statementRows(statement: Statement): Row[] {
  return [
    ...balanceLines(statement).map(([name, credits]): Row => ['balance', name, null, credits]),
    ['information', 'Resets of allocations', null, statement.resets],
    ...statement.charges_by_user.map(({ name, calls, credits }): Row => ['user', name, calls, credits]),
    ...statement.charges_by_model.map(({ name, calls, credits }): Row => ['model', name, calls, credits]),
  ]
}

export function statementPage(organization: string, month: string, statement: Statement): string {
  const lines = balanceLines(statement)
  return String(html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Statement ${month}, ${organization}</title><style>${raw(STYLE)}</style></head>
<body><h1>Statement ${month}</h1><p>${organization}. Amounts are credits; one credit is $0.001. Times are UTC.</p>
<table><tbody>${lines.map(
    ([name, credits], place) =>
      html`<tr class="${place === lines.length - 1 ? 'sum' : ''}"><td>${name}</td><td class="n">${credits}</td></tr>`,
  )}</tbody></table>
<p>Paid in this month: $${statement.paid}. Resets gave ${statement.resets} credits to members again; the balance stays.</p>
<h2>Charges by user</h2>${linesTable('User', statement.charges_by_user)}
<h2>Charges by model</h2>${linesTable('Model or service', statement.charges_by_model)}
</body></html>
`)
}

function linesTable(head: string, lines: Statement['charges_by_user']) {
  return html`<table><thead><tr><th>${head}</th><th class="n">Calls</th><th class="n">Credits</th></tr></thead><tbody>${lines.map(
    ({ name, calls, credits }) =>
      html`<tr><td>${name === '' ? '(none)' : name}</td><td class="n">${calls}</td><td class="n">${credits}</td></tr>`,
  )}</tbody></table>`
}

function negative(credits: string): string {
  return credits === '0' ? credits : `-${credits}`
}
