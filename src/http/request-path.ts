/**
 * The one form of a request's path: what routes match, handlers read and the log shows. Whoever spells a path differently
 * (`/v1/%63hat/completions`, `//v1//chat/completions/`, `/x/../v1/models`) asks for the same, and no rule sees another spelling.
 */

/** What needs no work: nearly every request. */
const PLAIN = /^(?:\/[\w~-][\w.~-]*)+$/

/**
 * @param target as it came: a path, or a whole URL as proxies send it.
 * @returns the path alone, each segment decoded once and encoded again, without empty and dot segments. A slash inside a segment
 *   stays `%2F`. What can't be decoded is text: its percent sign becomes `%25`.
 */
export function requestPath(target: string): string {
  const path = target.replace(/^https?:\/\/[^/?#]*/i, '').replace(/[?#].*$/s, '')
  if (PLAIN.test(path)) return path
  const segments: string[] = []
  for (const raw of path.split('/')) {
    const segment = decode(raw)
    if (segment === '..') segments.pop()
    else if (segment !== '' && segment !== '.') segments.push(encodeURIComponent(segment))
  }
  return `/${segments.join('/')}`
}

/** Node gives a byte beyond ASCII as one character. */
function decode(raw: string): string {
  const text = Buffer.from(raw, 'latin1').toString()
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
