/** `make` opens the form at once: the start page leads here with it. */
export function keySearch({ make }: Record<string, unknown>): { make?: boolean } {
  return make === true ? { make } : {}
}
