/** Values of LiteLLM's rows: columns that are missing, NULL, or of another form than they should be are nothing. */
import { parseDecimal } from '../../metering/money.ts'
import type { SourceRow } from './source.ts'

export type Members = Readonly<Record<string, unknown>>

export function textIn(row: SourceRow | Members, name: string): string | null {
  const value = row[name]
  return typeof value === 'string' && value !== '' ? value : null
}

export function numberIn(row: SourceRow | Members, name: string): number | null {
  const value = row[name]
  return typeof value === 'number' && Number.isFinite(value) ? value : null
}

export function textsIn(row: SourceRow | Members, name: string): string[] {
  const value = row[name]
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string' && one !== '') : []
}

/** Columns of JSON may hold a text of JSON. */
export function jsonIn(row: SourceRow | Members, name: string): unknown {
  const value = row[name]
  if (typeof value !== 'string') return value
  try {
    return JSON.parse(value)
  } catch {
    return null
  }
}

export function membersIn(row: SourceRow | Members, name: string): Members {
  const value = jsonIn(row, name)
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Members) : {}
}

/** Their times are UTC and do not say so. */
export function timeIn(row: SourceRow | Members, name: string): Date | null {
  const text = textIn(row, name)
  if (text === null) return null
  const at = new Date(/(?:Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text}Z`)
  return Number.isNaN(at.getTime()) ? null : at
}

/** What their doubles mean: microcredits, to the nearest. */
export function spentOf(dollars: number | null): bigint {
  if (dollars === null || !(dollars > 0) || dollars > DOLLARS_MAX) return 0n
  return parseDecimal(dollars.toFixed(9), 9)
}

/** Ten billion: what a column of credits holds, with room to spare. */
const DOLLARS_MAX = 1e10

export function isNothing(value: unknown): boolean {
  if (value === null || value === undefined || value === false || value === '') return true
  return typeof value === 'object' && Object.keys(value).length === 0
}
