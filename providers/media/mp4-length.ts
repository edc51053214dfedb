/**
 * The length of an MP4 or QuickTime file: of everything it says about time, the longest. Only boxes in their places count, so bytes that
 * look like one are nothing. A compressed or repeated `moov` is unknown. Linear in the bytes; never throws.
 */
import { isOfFragments, Mp4Fragments } from './mp4-fragments.ts'
import type { SampleSeconds } from './mp4-sound.ts'
import { Mp4Track } from './mp4-track.ts'

/** The boxes that hold others, by where they stand. */
const CONTAINERS: ReadonlySet<string> = new Set(['moov', 'trak', 'edts', 'mdia', 'minf', 'stbl', 'mvex', 'traf'])
/** Those of them that stand on top. */
const ON_TOP: ReadonlySet<string> = new Set(['moov', 'moof', 'mfra'])
const ODD: ReadonlySet<string> = new Set(['cmov'])
/** An hour in fragments of a second has 25,000; so many take some milliseconds. */
const BOXES_MAX = 100_000
/** More than any film has; each is looked for by its id. */
const TRACKS_MAX = 32

interface Box {
  type: string
  body: number
  end: number
}

interface Movie {
  scale: number
  /** By its header; null where that says that it is not known. */
  stated: number | null
  /** Of the edit lists, in units of the movie. */
  edits: number
  tracks: Mp4Track[]
  fragments: Mp4Fragments
}

export interface Mp4Length {
  /** Seconds of its longest timeline. */
  timeline: number
  /** Seconds that its sound lasts, whatever the timeline says. Null where nothing bounds that. */
  heard: SampleSeconds | null
}

/** Seconds of its timeline; null where the boxes can't be walked to the end of the file. */
export function mp4Seconds(bytes: Buffer): number | null {
  return mp4Length(bytes)?.timeline ?? null
}

/** Seconds that anybody hears: at most, and as encoders write it. */
export function mp4Sound(bytes: Buffer): SampleSeconds | null {
  const { timeline, heard } = mp4Length(bytes) ?? { timeline: 0, heard: null }
  return heard === null ? null : { most: Math.max(timeline, heard.most), usual: Math.max(timeline, heard.usual) }
}

function mp4Length(bytes: Buffer): Mp4Length | null {
  const tracks: Mp4Track[] = []
  const movie: Movie = { scale: 0, stated: 0, edits: 0, tracks, fragments: new Mp4Fragments(tracks) }
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
    if (box === null || ODD.has(box.type) || boxes > BOXES_MAX) return null
    level.at = box.end
    if (box.type === 'moov') movies++
    if (box.type === 'trak') tracks.push(new Mp4Track())
    if (tracks.length > TRACKS_MAX) return null
    const isTop = open.length === 1
    if (isTop ? ON_TOP.has(box.type) : CONTAINERS.has(box.type)) open.push({ at: box.body, end: box.end })
    else if ((!isTop || box.type === 'sidx') && !readTime(bytes, box, movie)) return null
    if (box.type === 'mvex' || box.type === 'moof') movie.fragments.areThere = true
  }
  return movies === 1 && movie.scale > 0 ? lengthOf(movie) : null
}

function lengthOf({ scale, stated, edits, tracks, fragments }: Movie): Mp4Length | null {
  if (stated === null && !fragments.areThere) return null
  const longest = tracks.reduce((seconds, track) => Math.max(seconds, track.timeline), 0)
  // An edit list of a movie in fragments says what stands before them.
  const edited = fragments.areThere ? longest + edits / scale : Math.max(longest, edits / scale)
  const timeline = Math.max((stated ?? 0) / scale, fragments.movie / scale, fragments.indexed, edited)
  if (timeline <= 0) return null
  let heard: SampleSeconds | null = { most: 0, usual: 0 }
  for (const { heard: own } of tracks)
    heard =
      heard === null || own === null
        ? null
        : { most: Math.max(heard.most, own.most), usual: Math.max(heard.usual, own.usual) }
  return { timeline, heard }
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
function readTime(bytes: Buffer, box: Box, movie: Movie): boolean {
  const { type, body, end } = box
  if (isOfFragments(type)) return movie.fragments.read(bytes, type, body, end)
  if (type === 'mvhd') return readMovieHeader(bytes, box, movie)
  if (type === 'elst') return readEdits(bytes, box, movie)
  const track = movie.tracks.at(-1)
  if (track === undefined) return true
  if (type === 'tkhd') return readId(bytes, box, track)
  if (type === 'mdhd') return readTrackHeader(bytes, box, track)
  if (type === 'hdlr') {
    if (body + 12 > end) return false
    track.isSound ||= bytes.toString('latin1', body + 8, body + 12) === 'soun'
    return true
  }
  if (type === 'stz2') return track.readTable('stsz', bytes, body, end)
  return type === 'stts' || type === 'stsz' || type === 'stsd' ? track.readTable(type, bytes, body, end) : true
}

function readMovieHeader(bytes: Buffer, { body, end }: Box, movie: Movie): boolean {
  const header = readHeader(bytes, body, end)
  if (header === null || movie.scale !== 0) return false
  movie.scale = header.scale
  movie.stated = header.duration
  return true
}

function readId(bytes: Buffer, { body, end }: Box, track: Mp4Track): boolean {
  const at = body + (bytes[body] === 1 ? 20 : 12)
  if (at + 4 > end || track.id !== null) return false
  track.id = bytes.readUInt32BE(at)
  return true
}

function readTrackHeader(bytes: Buffer, { body, end }: Box, track: Mp4Track): boolean {
  const header = readHeader(bytes, body, end)
  if (header === null || track.scale !== 0) return false
  track.scale = header.scale
  track.states(header.duration ?? 0)
  return true
}

function readEdits(bytes: Buffer, { body, end }: Box, movie: Movie): boolean {
  if (body + 8 > end) return false
  const size = bytes[body] === 1 ? 20 : 12
  const last = body + 8 + bytes.readUInt32BE(body + 4) * size
  if (last > end) return false
  let sum = 0
  for (let at = body + 8; at < last; at += size)
    sum += size === 20 ? Number(bytes.readBigUInt64BE(at)) : bytes.readUInt32BE(at)
  movie.edits = Math.max(movie.edits, sum)
  return true
}

/** `mvhd` and `mdhd` begin alike. A length of all ones is one that is not known: null. */
function readHeader(bytes: Buffer, body: number, end: number): { scale: number; duration: number | null } | null {
  const isLong = bytes[body] === 1
  if (body + (isLong ? 32 : 20) > end) return null
  const scale = bytes.readUInt32BE(body + (isLong ? 20 : 12))
  const duration = isLong ? Number(bytes.readBigUInt64BE(body + 24)) : bytes.readUInt32BE(body + 16)
  const isUnknown = isLong ? duration >= 2 ** 63 : duration === 0xffff_ffff
  return scale === 0 ? null : { scale, duration: isUnknown ? null : duration }
}
