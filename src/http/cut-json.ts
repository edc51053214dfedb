/**
 * Parses a body whose media are long. Base64 above 64 kB in the place of a medium is decoded in slices, with turns of the event
 * loop for others in between, and only the rest is parsed. Where anything about such a text is unusual (escapes, another place, a
 * character that decoders disagree on) the body is parsed whole, as if this file were not.
 */
import { randomBytes } from 'node:crypto'
import { type CutText, type CutTexts, cutTexts, markOf, markPrefix } from '../../providers/cut-texts.ts'
import { createPace, type Pace, SLICE } from './in-slices.ts'
import { type JsonObject, parseJsonObject } from './json-object.ts'
import type { JsonScan, LongString } from './json-scan.ts'

/** Of each text: more than anybody looks at to see what it is. A multiple of four characters follows the comma. */
const KEPT = 4_096

/** The texts of a request that stand where a medium does, each where it is what its type says: others may be read as text. */
export type MediaOf = (json: JsonObject['json']) => Iterable<unknown>

/**
 * @param scan has seen the whole body.
 * @param mediaOf null: no media are known in this dialect.
 * @throws {TollgateError} 400 as `parseJsonObject`.
 */
export async function parseLongJson(body: Buffer, scan: JsonScan, mediaOf: MediaOf | null): Promise<JsonObject> {
  const cut = mediaOf === null || scan.longStrings.length === 0 ? null : await cutOut(body, scan.longStrings)
  if (mediaOf === null || cut === null) return parseJsonObject(body, scan)
  const { cuts, text } = cut
  const object = parseJsonObject(text, scan)
  const marked = [...mediaOf(object.json)].filter((medium) => typeof medium === 'string' && cuts.find(medium) !== null)
  return marked.length === cut.count ? { ...object, cuts } : parseJsonObject(body, scan)
}

interface Cut {
  text: Buffer
  cuts: CutTexts
  count: number
}

/** Null where nothing can be cut out. */
async function cutOut(body: Buffer, longStrings: readonly LongString[]): Promise<Cut | null> {
  const prefix = markPrefix(randomBytes(16).toString('hex'))
  const found: CutText[] = []
  const pieces: Buffer[] = []
  const pace = createPace()
  let done = 0
  for (const { start, end } of longStrings) {
    const base64 = body.subarray(start + dataStart(body, start), end)
    const decoded = await decodeInSlices(base64, pace)
    if (decoded === null) continue
    const mark = markOf(prefix, found.length)
    const rest = base64.subarray(KEPT)
    pieces.push(body.subarray(done, end - rest.length), Buffer.from(mark))
    done = end
    found.push({ decoded, rest, mark, kept: KEPT })
  }
  if (found.length === 0) return null
  pieces.push(body.subarray(done))
  return { text: Buffer.concat(pieces), cuts: cutTexts(prefix, found), count: found.length }
}

/** Where the base64 of a `data:` URL begins; 0 for what is none. */
function dataStart(body: Buffer, start: number): number {
  const head = body.toString('latin1', start, start + 256)
  return /^data:[\w.+-]+\/[\w.+-]+;base64,/i.exec(head)?.[0].length ?? 0
}

const PADDING = 0x3d

/** The bytes of strict base64: nothing else in it, padded at its end only. Null for other text. */
async function decodeInSlices(base64: Buffer, pace: Pace): Promise<Buffer | null> {
  if (base64.length % 4 !== 0 || base64.length <= KEPT) return null
  const padding = base64.at(-1) !== PADDING ? 0 : base64.at(-2) !== PADDING ? 1 : 2
  const size = (base64.length / 4) * 3 - padding
  const decoded = Buffer.allocUnsafeSlow(size)
  for (let at = 0, to = 0; at < base64.length; at += SLICE) {
    const slice = base64.subarray(at, at + SLICE)
    await pace(slice.length)
    // Node's decoder takes the url-safe alphabet too and skips all other characters: then it writes fewer bytes.
    if (slice.includes('-') || slice.includes('_')) return null
    const expected = Math.min((slice.length / 4) * 3, size - to)
    const written = decoded.write(slice.toString('latin1'), to, 'base64')
    const isPaddedWithin = slice.indexOf(PADDING) >= 0 && slice.indexOf(PADDING) < base64.length - at - padding
    if (written !== expected || isPaddedWithin) return null
    to += written
  }
  return decoded
}
