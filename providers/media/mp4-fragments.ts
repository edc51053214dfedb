/**
 * The fragments (`moof`) of an MP4 and its indexes (`sidx`, `mfra`): a fragment says when it begins (`tfdt`), and how long its samples are
 * (`trun`), each for itself or all of them the same.
 */
import type { Mp4Track } from './mp4-track.ts'

/** Boxes that speak of fragments. */
const OF_FRAGMENTS: ReadonlySet<string> = new Set(['trex', 'mehd', 'tfhd', 'tfdt', 'trun', 'sidx', 'tfra'])

export function isOfFragments(type: string): boolean {
  return OF_FRAGMENTS.has(type)
}

export class Mp4Fragments {
  /** The movie says that there are some, or has one. */
  areThere: boolean = false
  /** Seconds that an index states. */
  indexed = 0
  /** Of the whole movie, in its own units. */
  movie = 0
  readonly #tracks: readonly Mp4Track[]
  #current: Mp4Track | null = null
  /** The length of a sample, where neither its fragment nor itself says one: of each track, which may come later, and of the one at hand. */
  readonly #usuals = new Map<number, number>()
  #usual = 0
  #at = 0

  constructor(tracks: readonly Mp4Track[]) {
    this.#tracks = tracks
  }

  /** @returns false for a box that is cut off, or speaks of a track that is not there. */
  read(bytes: Buffer, type: string, body: number, end: number): boolean {
    this.areThere = true
    if (body + 8 > end) return false
    if (type === 'tfhd') return this.#readHead(bytes, body, end)
    if (type === 'trun') return this.#readRun(bytes, body, end)
    if (type === 'sidx') return this.#readIndex(bytes, body, end)
    if (type === 'tfra') return this.#readEntries(bytes, body, end)
    if (type === 'trex') {
      if (body + 16 > end) return false
      this.#usuals.set(bytes.readUInt32BE(body + 4), bytes.readUInt32BE(body + 12))
      return true
    }
    const isLong = bytes[body] === 1
    if (body + (isLong ? 12 : 8) > end || (type === 'tfdt' && this.#current === null)) return false
    const time = isLong ? Number(bytes.readBigUInt64BE(body + 4)) : bytes.readUInt32BE(body + 4)
    if (type === 'tfdt') this.#at = time
    else this.movie = Math.max(this.movie, time)
    return true
  }

  /** Each id stands for one track. */
  #trackOf(id: number): Mp4Track | null {
    const [track, second] = this.#tracks.filter((one) => one.id === id)
    return track === undefined || second !== undefined ? null : track
  }

  #readHead(bytes: Buffer, body: number, end: number): boolean {
    const flags = bytes.readUInt32BE(body) & 0xff_ffff
    const id = bytes.readUInt32BE(body + 4)
    const track = this.#trackOf(id)
    const place = body + 8 + (flags & 1 ? 8 : 0) + (flags & 2 ? 4 : 0)
    if (track === null || (flags & 8 && place + 4 > end)) return false
    this.#current = track
    this.#usual = flags & 8 ? bytes.readUInt32BE(place) : (this.#usuals.get(id) ?? 0)
    this.#at = track.end
    return true
  }

  #readRun(bytes: Buffer, body: number, end: number): boolean {
    if (this.#current === null) return false
    const flags = bytes.readUInt32BE(body) & 0xff_ffff
    const count = bytes.readUInt32BE(body + 4)
    const first = body + 8 + (flags & 1 ? 4 : 0) + (flags & 4 ? 4 : 0)
    const size = [0x100, 0x200, 0x400, 0x800].filter((flag) => flags & flag).length * 4
    if (first + count * size > end) return false
    let units = flags & 0x100 ? 0 : count * this.#usual
    if (flags & 0x100) for (let at = first; at < first + count * size; at += size) units += bytes.readUInt32BE(at)
    this.#current.add(count, units, this.#at)
    this.#at += units
    return true
  }

  #readIndex(bytes: Buffer, body: number, end: number): boolean {
    const isLong = bytes[body] === 1
    const list = body + (isLong ? 32 : 24)
    if (list > end) return false
    const scale = bytes.readUInt32BE(body + 8)
    const count = bytes.readUInt16BE(list - 2)
    if (scale === 0 || list + count * 12 > end) return false
    let units = isLong ? Number(bytes.readBigUInt64BE(body + 12)) : bytes.readUInt32BE(body + 12)
    for (let at = list; at < list + count * 12; at += 12) units += bytes.readUInt32BE(at + 4)
    this.indexed = Math.max(this.indexed, units / scale)
    return true
  }

  /** Where players may begin: no later than the end. */
  #readEntries(bytes: Buffer, body: number, end: number): boolean {
    const track = this.#trackOf(bytes.readUInt32BE(body + 4))
    if (track === null || body + 16 > end) return false
    const isLong = bytes[body] === 1
    const lengths = bytes.readUInt32BE(body + 8)
    const size = (isLong ? 16 : 8) + 3 + ((lengths >> 4) & 3) + ((lengths >> 2) & 3) + (lengths & 3)
    const last = body + 16 + bytes.readUInt32BE(body + 12) * size
    if (last > end) return false
    for (let at = body + 16; at < last; at += size)
      track.states(isLong ? Number(bytes.readBigUInt64BE(at)) : bytes.readUInt32BE(at))
    return true
  }
}
