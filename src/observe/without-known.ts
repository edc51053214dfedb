/**
 * A text without secrets that are known: what a provider says may quote the key it was called with, whole, cut or in pieces, and a
 * key of a server nobody knows has no form that it could be told by.
 */

/** A piece as long as this is taken out; less is what providers show on purpose, to say which key it was. */
const PIECE = 10
/** One that is shorter is no secret but what stands in for one (`none`, `ollama`), and may be a word. */
const LEAST = 8

/** Time in proportion to the text and the secrets. */
export function withoutKnown(text: string, secrets: Iterable<string>): string {
  const spans: [from: number, to: number][] = []
  for (const secret of secrets) {
    if (secret.length < LEAST) continue
    const length = Math.min(PIECE, secret.length)
    const pieces = new Set<string>()
    for (let at = 0; at + length <= secret.length; at += 1) pieces.add(secret.slice(at, at + length))
    for (let at = 0; at + length <= text.length; at += 1)
      if (pieces.has(text.slice(at, at + length))) spans.push([at, at + length])
  }
  return spans.length === 0 ? text : withoutSpans(text, spans)
}

function withoutSpans(text: string, spans: [from: number, to: number][]): string {
  spans.sort(([a], [b]) => a - b)
  let clean = ''
  let end = -1
  for (const [from, to] of spans) {
    if (from > end) clean += `${text.slice(Math.max(end, 0), from)}[key]`
    end = Math.max(end, to)
  }
  return clean + text.slice(end)
}
