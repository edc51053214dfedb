/** A line of JSON whose texts are cut to a length, so that no caller decides how long a line is. */

const QUOTE = 34
const BACKSLASH = 92
const UNICODE = 117

/**
 * @returns the same JSON; each text longer than `most` characters (an escape counts as one) ends with an ellipsis there. Linear.
 */
export function cutStrings(json: string, most: number): string {
  if (json.length <= most) return json
  const kept: string[] = []
  let from = 0
  for (let at = json.indexOf('"'); at !== -1; at = json.indexOf('"', at)) {
    at += 1
    let cut = -1
    for (let length = 0; at < json.length && json.charCodeAt(at) !== QUOTE; length += 1) {
      if (length === most) cut = at
      at += json.charCodeAt(at) !== BACKSLASH ? 1 : json.charCodeAt(at + 1) === UNICODE ? 6 : 2
    }
    if (cut !== -1) {
      kept.push(json.slice(from, cut), '…')
      from = at
    }
    at += 1
  }
  kept.push(json.slice(from))
  return kept.join('')
}
