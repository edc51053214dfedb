/** The length of Vorbis in Ogg. A packet does not say how long it sounds, but none sounds longer than half of the largest block. */
import { readPage } from './opus-length.ts'
import type { Duration } from './sound-length.ts'

/** Identification, comments, set-up. */
const HEADERS = 3

/** Null where the pages can't be walked to the end, or hold something else. */
export function vorbisSeconds(bytes: Buffer): Duration | null {
  let serial: number | null = null
  let rate = 0
  let block = 0
  let packets = 0
  let granule = 0
  for (let at = 0; at < bytes.length; ) {
    const page = readPage(bytes, at)
    if (page === null || (serial !== null && page.serial !== serial)) return null
    if (serial === null) {
      if (page.body + 29 > page.end || bytes.toString('latin1', page.body, page.body + 7) !== '\x01vorbis') return null
      rate = bytes.readUInt32LE(page.body + 12)
      block = 2 ** (bytes[page.body + 28]! >> 4)
    }
    serial = page.serial
    granule = Math.max(granule, page.granule)
    for (const length of page.lengths) if (length < 255) packets++
    at = page.end
  }
  if (rate === 0 || packets <= HEADERS) return null
  const stated = granule / rate
  const bound = Math.max(stated, ((packets - HEADERS) * block) / 2 / rate)
  // Most packets are long ones, so what the last page states is right, unless it is far from what they can be.
  return { bound, expected: Math.max(stated, bound / 2) }
}
