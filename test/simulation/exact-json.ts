/** JSON whose numbers are kept as they are written: a float would hide a microcredit. */
import { creditsToMicro } from '../../src/metering/money.ts'

type Reviver = (key: string, value: unknown, context: { source?: string }) => unknown

/** @returns numbers as strings of their digits. */
export function exactJson(text: string): ReturnType<typeof JSON.parse> {
  const revive: Reviver = (_, value, { source }) => (typeof value === 'number' ? source : value)
  return JSON.parse(text, revive as Parameters<typeof JSON.parse>[1])
}

/** Credits as a dashboard or the books write them, to compare and to add. */
export function micro(credits: string | number): bigint {
  return creditsToMicro(String(credits))
}
