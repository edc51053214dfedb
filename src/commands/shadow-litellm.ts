/** `tollgate shadow litellm`: what LiteLLM booked and what was due. Exit code 1 where they differ. */

import { trimDecimal } from '../metering/money.ts'
import { REASONS, type Reason } from '../moving/litellm/judge-row.ts'
import { createLogPrices } from '../moving/litellm/log-prices.ts'
import { readShadow, type Shadow, type ShadowRow, type Tally } from '../moving/litellm/shadow.ts'
import { EXIT } from './exit.ts'
import { openTheirs } from './migrate-from-litellm.ts'
import type { Options } from './options.ts'
import { printRows } from './print-rows.ts'
import { requireConfig } from './read-config.ts'

/** Keys and models that a terminal shows. */
const SHOWN = 50
const KEY_WIDTH = 20
const MODEL_WIDTH = 28
const NOT_COMPARED: ReadonlySet<Reason> = new Set<Reason>(['no_price', 'no_usage'])

export async function shadowLitellm(options: Options): Promise<number> {
  const config = await requireConfig(options, (line) => process.stderr.write(`${line}\n`))
  const source = await openTheirs(options.database)
  try {
    const { since: from, until } = options
    const shadow = await readShadow({ source, findPrice: createLogPrices(config), from, until })
    process.stdout.write(
      options.json ? `${JSON.stringify(asJson(shadow), null, 2)}\n` : options.csv ? asCsv(shadow) : readable(shadow),
    )
    const differ = shadow.rows.some(({ reasons }) =>
      [...reasons].some(([reason]) => reason !== 'same' && !NOT_COMPARED.has(reason)),
    )
    return differ ? EXIT.failed : EXIT.ok
  } finally {
    await source.close()
  }
}

/** Microcredits as dollars. */
function dollars(micro: bigint): string {
  return trimDecimal(micro, 9)
}

function figures({ calls, booked, due }: Tally) {
  return { calls, booked: dollars(booked), due: dollars(due), difference: dollars(due - booked) }
}

function sumOf(tallies: readonly Tally[]): Tally {
  return tallies.reduce<Tally>(
    (sum, { calls, booked, due }) => ({ calls: sum.calls + calls, booked: sum.booked + booked, due: sum.due + due }),
    { calls: 0, booked: 0n, due: 0n },
  )
}

function reasonsOf(rows: readonly ShadowRow[]): [Reason, Tally][] {
  const sums = Map.groupBy(
    rows.flatMap(({ reasons }) => [...reasons]),
    ([reason]) => reason,
  )
  return [...sums].map(([reason, tallies]) => [reason, sumOf(tallies.map(([, tally]) => tally))])
}

/** Amounts are decimal dollars. */
function asJson({ source, rows }: Shadow) {
  const named = (reasons: Iterable<[Reason, Tally]>) =>
    Object.fromEntries([...reasons].map(([reason, tally]) => [reason, figures(tally)]))
  return {
    source,
    total: figures(sumOf(rows)),
    reasons: named(reasonsOf(rows)),
    rows: rows.map((row) => ({
      ...{ key: row.key, key_alias: row.alias, model: row.model },
      ...figures(row),
      reasons: named(row.reasons),
    })),
  }
}

function asCsv({ rows }: Shadow): string {
  const lines = rows.flatMap((row) =>
    [...row.reasons].map(([reason, tally]) => {
      const { calls, booked, due, difference } = figures(tally)
      return [row.key, row.alias ?? '', row.model, reason, calls, booked, due, difference].map(cell).join(',')
    }),
  )
  return ['key,key_alias,model,reason,calls,booked,due,difference', ...lines, ''].join('\r\n')
}

/** A cell that begins like a formula would be one in a spreadsheet; negative numbers are numbers. */
function cell(value: string | number): string {
  const text = String(value)
  const isNumber = /^-?\d+(?:\.\d+)?$/.test(text)
  const safe = !isNumber && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

function readable({ source, rows }: Shadow): string {
  const table = rows.slice(0, SHOWN).map((row) => ({
    key: (row.alias ?? (row.key.slice(0, 12) || '-')).slice(0, KEY_WIDTH),
    model: row.model.slice(0, MODEL_WIDTH),
    ...figures(row),
  }))
  const why = reasonsOf(rows).map(([reason, tally]) => ({ why: REASONS[reason], ...figures(tally) }))
  const more = rows.length > SHOWN ? `... and ${rows.length - SHOWN} more; --json and --csv have all\n` : ''
  const { calls, booked, due, difference } = figures(sumOf(rows))
  return [
    `LiteLLM: ${source}\n`,
    `${calls} calls: it booked $${booked}, $${due} were due by the prices here: a difference of $${difference}.\n`,
    `\nBy key and model, the greatest differences first. Dollars.\n${printRows(table, 'Nothing is logged.')}${more}`,
    `\nWhy\n${printRows(why, 'Nothing is logged.')}`,
  ].join('')
}
