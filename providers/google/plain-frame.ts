/**
 * The frame most of a stream of Gemini's is made of: one candidate with one text, the usage so far, the model and the response's id, in
 * the order and spacing Google's servers write. It is read by its form, which takes a third of the time of parsing it: the text is
 * taken out, and the usage left as it stands until somebody asks for it. Whatever is written in any other way is none of these, and
 * is parsed.
 */

type Json = Record<string, unknown>

export interface PlainFrame {
  /** As it would be parsed, without the usage. */
  chunk: Json
  /** The text of a `usageMetadata` that can be billed by. */
  usage: string
  /** It tells tokens of the response. */
  coversResponse: boolean
}

/** Longer ones are rare, and spend their time elsewhere. */
const CHARS_MAX = 16 * 1024

const TEXT = String.raw`("[^"\\]*(?:\\.[^"\\]*)*")(,"thought": ?true)?`
const COUNT = String.raw`(?:0|[1-9]\d{0,8})`
const DETAIL = String.raw`\{"modality": ?"\w+","tokenCount": ?${COUNT}\}`
const OTHER_COUNT = `"(?:total|thoughts|cachedContent|toolUsePrompt)TokenCount": ?${COUNT}`
const DETAILS = String.raw`"(?:prompt|cache|candidates|toolUsePrompt)TokensDetails": ?\[${DETAIL}(?:,${DETAIL})*\]`
const TIER = String.raw`"(?:serviceTier|trafficType)": ?"\w*"`
const USAGE = String.raw`\{"promptTokenCount": ?${COUNT}(,"candidatesTokenCount": ?[1-9]\d{0,8})?(?:,(?:${OTHER_COUNT}|${DETAILS}|${TIER}))*\}`

const FORM = new RegExp(
  [
    String.raw`^\{"candidates": ?\[\{"content": ?\{"parts": ?\[\{"text": ?${TEXT}\}\],"role": ?"model"\},"index": ?0\}\]`,
    `"usageMetadata": ?(${USAGE})`,
    String.raw`"modelVersion": ?"([\w.-]+)"`,
    String.raw`"responseId": ?"([\w-]+)"\}$`,
  ].join(','),
)

/** Null for any other frame. */
export function readPlainFrame(frame: string): PlainFrame | null {
  const found = frame.length > CHARS_MAX ? null : FORM.exec(frame)
  if (found === null) return null
  const [, written = '', thought, usage = '', answer, modelVersion, responseId] = found
  const text = textOf(written)
  if (text === null) return null
  const part = thought === undefined ? { text } : { text, thought: true }
  return {
    chunk: { candidates: [{ content: { parts: [part] }, index: 0 }], modelVersion, responseId },
    usage,
    coversResponse: answer !== undefined,
  }
}

/** Null for what only looks like a string: a control character in it, or an escape JSON has not. */
function textOf(written: string): string | null {
  try {
    return JSON.parse(written) as string
  } catch {
    return null
  }
}
