/** The length of Opus in Ogg: each packet says in its first bytes how long it sounds. Vorbis, and several streams at once, are unknown. */

const HEADERS = 2

/** Seconds; null where the pages can't be walked to the end. Also no less than the last page's own statement. */
export function opusSeconds(bytes: Buffer): number | null {
  let seconds = 0
  let granule = 0
  let serial: number | null = null
  let packets = 0
  let isWithin = false
  for (let at = 0; at < bytes.length; ) {
    const page = readPage(bytes, at)
    if (page === null || (serial !== null && page.serial !== serial)) return null
    if (serial === null && bytes.toString('latin1', page.body, page.body + 8) !== 'OpusHead') return null
    serial = page.serial
    granule = Math.max(granule, page.granule)
    let start = page.body
    for (const length of page.lengths) {
      if (!isWithin) {
        packets++
        if (packets > HEADERS) seconds += packetSeconds(bytes, start, page.end)
      }
      isWithin = length === 255
      start += length
    }
    at = page.end
  }
  return packets > HEADERS ? Math.max(seconds, granule / 48_000) : null
}

export interface Page {
  serial: number
  granule: number
  lengths: Buffer
  body: number
  end: number
}

export function readPage(bytes: Buffer, at: number): Page | null {
  if (at + 27 > bytes.length || bytes.toString('latin1', at, at + 4) !== 'OggS') return null
  const count = bytes[at + 26]!
  const body = at + 27 + count
  const lengths = bytes.subarray(at + 27, body)
  const end = lengths.reduce((sum, length) => sum + length, body)
  if (end > bytes.length) return null
  const granule = bytes.readBigInt64LE(at + 6)
  return { serial: bytes.readUInt32LE(at + 14), granule: Number(granule > 0n ? granule : 0n), lengths, body, end }
}

/** A packet lasts 120 ms at most. One whose first bytes are not there counts as that. */
export function packetSeconds(bytes: Buffer, at: number, end: number): number {
  if (at + 2 > end) return 0.12
  const config = bytes[at]! >> 3
  const frames = [1, 2, 2, bytes[at + 1]! & 63][bytes[at]! & 3] ?? 63
  return Math.min(0.12, frames * frameSeconds(config))
}

function frameSeconds(config: number): number {
  if (config < 12) return [0.01, 0.02, 0.04, 0.06][config & 3] ?? 0.06
  if (config < 16) return (config & 1) === 0 ? 0.01 : 0.02
  return [0.0025, 0.005, 0.01, 0.02][config & 3] ?? 0.02
}
