const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** Whether PostgreSQL takes the text for a uuid; anything else must not reach a uuid column, where it is an error. */
export function isUuid(text: string): boolean {
  return UUID.test(text)
}
