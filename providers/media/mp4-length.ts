/**
 * The length of an MP4 or QuickTime file: of everything its box `moov` says about time, the longest. Only boxes in their places count,
 * so bytes that look like one are nothing. Fragments, compressed or repeated `moov` are unknown.
 */

/** The boxes that hold others, by where they stand. */
const CONTAINERS: ReadonlySet<string> = new Set(['moov', 'trak', 'edts', 'mdia', 'minf', 'stbl'])
/** What says that there is more, elsewhere or otherwise. */
const ODD = /^(?:moof|mvex|cmov|sidx|mfra|ssix|styp)$/
const BOXES_MAX = 10_000

interface Box {
  type: string
  body: number
  end: number
}

interface Times {
  movieScale: number
  movie: number
  /** Of the edit lists, in units of the movie. */
  edits: number
  /** Seconds of the longest track, by its header and by its samples. */
  track: number
  scale: number
}

/** Seconds; null where the boxes can't be walked to the end of the file. */
export function mp4Seconds(bytes: Buffer): number | null {
  const times: Times = { movieScale: 0, movie: 0, edits: 0, track: 0, scale: 0 }
  const open: { at: number; end: number }[] = [{ at: 0, end: bytes.length }]
  let boxes = 0
  let movies = 0
  for (let level = open.at(-1); level !== undefined; level = open.at(-1)) {
    if (level.at === level.end) {
      open.pop()
      continue
    }
    const box = readBox(bytes, level.at, level.end)
    boxes++
    if (box === null || ODD.test(box.type) || boxes > BOXES_MAX) return null
    if (box.type === 'moov') movies++
    level.at = box.end
    if (CONTAINERS.has(box.type) && (open.length > 1 || box.type === 'moov')) open.push({ at: box.body, end: box.end })
    else if (open.length > 1 && !readTime(bytes, box, times)) return null
  }
  if (movies !== 1 || times.movieScale === 0) return null
  const seconds = Math.max(times.movie / times.movieScale, times.edits / times.movieScale, times.track)
  return seconds > 0 ? seconds : null
}

function readBox(bytes: Buffer, at: number, limit: number): Box | null {
  if (at + 8 > limit) return null
  const type = bytes.toString('latin1', at + 4, at + 8)
  const short = bytes.readUInt32BE(at)
  if (short === 1) {
    if (at + 16 > limit) return null
    const end = at + Number(bytes.readBigUInt64BE(at + 8))
    return end < at + 16 || end > limit ? null : { type, body: at + 16, end }
  }
  const end = short === 0 ? limit : at + short
  return end < at + 8 || end > limit ? null : { type, body: at + 8, end }
}

/** False for a box of time that is cut off or says what can't be. */
function readTime(bytes: Buffer, { type, body, end }: Box, times: Times): boolean {
  if (type === 'mvhd' || type === 'mdhd') {
    const header = readHeader(bytes, body, end)
    if (header === null) return false
    if (type === 'mdhd') {
      times.scale = header.scale
      times.track = Math.max(times.track, header.duration / header.scale)
      return true
    }
    if (times.movieScale !== 0) return false
    times.movieScale = header.scale
    times.movie = header.duration
    return true
  }
  if (type !== 'stts' && type !== 'elst') return true
  if (body + 8 > end) return false
  const count = bytes.readUInt32BE(body + 4)
  const size = type === 'stts' ? 8 : bytes[body] === 1 ? 20 : 12
  if (body + 8 + count * size > end) return false
  let sum = 0
  for (let at = body + 8; at < body + 8 + count * size; at += size) {
    if (type === 'stts') sum += bytes.readUInt32BE(at) * bytes.readUInt32BE(at + 4)
    else sum += size === 20 ? Number(bytes.readBigUInt64BE(at)) : bytes.readUInt32BE(at)
  }
  if (type === 'elst') times.edits = Math.max(times.edits, sum)
  // Samples stand behind the header of their track.
  else if (times.scale === 0) return false
  else times.track = Math.max(times.track, sum / times.scale)
  return true
}

/** `mvhd` and `mdhd` begin alike. A length of all ones is one that is not known. */
function readHeader(bytes: Buffer, body: number, end: number): { scale: number; duration: number } | null {
  const isLong = bytes[body] === 1
  if (body + (isLong ? 32 : 20) > end) return null
  const scale = bytes.readUInt32BE(body + (isLong ? 20 : 12))
  const duration = isLong ? Number(bytes.readBigUInt64BE(body + 24)) : bytes.readUInt32BE(body + 16)
  const isUnknown = isLong ? duration >= 2 ** 63 : duration === 0xffff_ffff
  return scale === 0 || isUnknown ? null : { scale, duration }
}
