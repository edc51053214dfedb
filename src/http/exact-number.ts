/** A decimal as a JSON number with exactly the digits it was written with: `JSON.stringify` of a float would not keep them all. */

/** Opaque: only JSON.stringify reads it. */
export interface ExactNumber {
  readonly rawJSON: string
}

const { rawJSON } = JSON as unknown as { rawJSON(text: string): ExactNumber }

/** @param decimal as trimDecimal of metering/money.ts writes it. @throws {SyntaxError} for what is no JSON number. */
export function exactNumber(decimal: string): ExactNumber {
  if (!/^-?\d/.test(decimal)) throw new SyntaxError(`not a JSON number: ${decimal}`)
  return rawJSON(decimal)
}
