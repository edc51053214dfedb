/**
 * JSON whose numbers keep the digits they were written with: 1.0 stays 1.0 and 9007199254740993 stays what it is, where
 * JSON.parse would make them 1 and ...992. For the arguments of tool calls, which are text for one side and an object for the other.
 */

type Reviver = (this: unknown, key: string, value: unknown) => unknown

const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown }

function keepDigits(_: string, value: unknown, context: { source?: string }): unknown {
  if (typeof value !== 'number' || context.source === undefined) return value
  return String(value) === context.source ? value : rawJSON(context.source)
}

/** Undefined for what is no JSON. Numbers JavaScript can't hold as written are opaque: only JSON.stringify reads the result. */
export function parseExactJson(text: string): unknown {
  try {
    return JSON.parse(text, keepDigits as Reviver)
  } catch {
    return undefined
  }
}
