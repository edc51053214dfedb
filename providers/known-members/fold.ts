/** No known name is longer. */
const LENGTH_MAX = 128

/**
 * One text for all names that some server takes for each other. Go's JSON reader ignores case by Unicode's rules (`Max_Tokens`, and
 * `max_to\u212aens` with the sign for kelvin), protobuf's takes `maxTokens` for `max_tokens`. So compatibility forms and case are one,
 * and only letters and digits count.
 */
export function fold(name: string): string {
  if (name.length > LENGTH_MAX) return ''
  return name
    .normalize('NFKC')
    .toUpperCase()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]/gu, '')
}
