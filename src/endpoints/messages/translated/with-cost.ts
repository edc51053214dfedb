/** A usage object's text; `cost` is the text of a number, null where none is to be shown. */
export function withCost(usage: unknown, cost: string | null): string {
  const text = JSON.stringify(usage)
  return cost === null ? text : `${text.slice(0, -1)},"cost":${cost}}`
}
