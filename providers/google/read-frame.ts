/** A frame of a stream, parsed: one or more of Gemini's chunks, or something that is for another reader. */
import { parseExactJson } from '../exact-json.ts'
import { asObject, parseJson } from '../json.ts'
import { dataLine, parseFrame } from '../sse-frames.ts'
import { type PlainFrame, readPlainFrame } from './plain-frame.ts'

type Json = Record<string, unknown>

/** `exact` has numbers as they are written, for the arguments of calls. */
export interface GoogleChunk {
  chunk: Json
  exact: Json | null
}

/** `compatible`: of Google's OpenAI-compatible endpoint, known by its `choices`. Null: nothing. */
export type GoogleFrame = { plain: PlainFrame } | { chunks: readonly GoogleChunk[] } | 'compatible' | null

export function readGoogleFrame(frame: Buffer): GoogleFrame {
  const payload = dataLine(frame)
  const text = (payload ?? Buffer.from(parseFrame(frame).data)).toString('utf8')
  return text === '' ? readBare(frame) : readText(text)
}

function readText(text: string): GoogleFrame {
  const plain = readPlainFrame(text)
  if (plain !== null) return { plain }
  const json = parseJson(text)
  const chunk = asObject(Array.isArray(json) ? json[0] : json)
  if (chunk === null) return null
  if (Array.isArray(chunk.choices)) return 'compatible'
  const exact = text.includes('"functionCall"') ? asObject(parseExactJson(text)) : null
  return { chunks: [{ chunk, exact }] }
}

/** JSON that is no event: an error, or the one array a stream is where it was not asked for events. */
function readBare(frame: Buffer): GoogleFrame {
  const text = frame.toString('utf8').trim()
  if (!text.startsWith('[') && !text.startsWith('{')) return null
  const exact = parseExactJson(text)
  const exactList: unknown[] = Array.isArray(exact) ? exact : [exact]
  const json = parseJson(text)
  const chunks = (Array.isArray(json) ? json : [json]).flatMap((value: unknown, index) => {
    const chunk = asObject(value)
    return chunk === null ? [] : [{ chunk, exact: asObject(exactList[index]) }]
  })
  return { chunks }
}
