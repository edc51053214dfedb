/**
 * A track of an MP4, and how long it is: by its header, its table of samples, its fragments, and by how many samples sound. Players may
 * believe any of these, so the longest counts.
 */
import { type SampleSeconds, sampleSeconds } from './mp4-sound.ts'

const SILENCE: SampleSeconds = { most: 0, usual: 0 }

export class Mp4Track {
  id: number | null = null
  /** Units a second; 0 before its header was read. */
  scale = 0
  isSound: boolean = false
  #stated = 0
  #samples = 0
  /** Of each sample; null where its codec bounds none. */
  #sample: SampleSeconds | null = null
  /** In fragments: where the last sample ends, all of them one after the other, and their number. */
  #end = 0
  #total = 0
  #pieces = 0

  /** Seconds of its longest timeline. */
  get timeline(): number {
    return this.scale === 0 ? 0 : Math.max(this.#stated, this.#end, this.#total) / this.scale
  }

  /** Seconds that its samples sound, whatever any table says of their time. Null where nothing bounds that. */
  get heard(): SampleSeconds | null {
    if (!this.isSound) return SILENCE
    if (this.#sample === null) return null
    const count = Math.max(this.#samples, this.#pieces)
    return { most: count * this.#sample.most, usual: count * this.#sample.usual }
  }

  get end(): number {
    return this.#end
  }

  /** Its header, or an index, says that it is so long. */
  states(units: number): void {
    this.#stated = Math.max(this.#stated, units)
  }

  /** A run of a fragment. */
  add(count: number, units: number, from: number): void {
    this.#pieces += count
    this.#total += units
    this.#end = Math.max(this.#end, from + units)
  }

  /** @returns false for a table that is cut off. */
  readTable(type: 'stts' | 'stsz' | 'stsd', bytes: Buffer, body: number, end: number): boolean {
    if (type === 'stsd') {
      this.#sample = sampleSeconds(bytes, body, end)
      return true
    }
    if (body + 8 > end) return false
    if (type === 'stsz') {
      if (body + 12 > end) return false
      this.#samples = Math.max(this.#samples, bytes.readUInt32BE(body + 8))
      return true
    }
    const count = bytes.readUInt32BE(body + 4)
    if (this.scale === 0 || body + 8 + count * 8 > end) return false
    let units = 0
    let samples = 0
    for (let at = body + 8; at < body + 8 + count * 8; at += 8) {
      samples += bytes.readUInt32BE(at)
      units += bytes.readUInt32BE(at) * bytes.readUInt32BE(at + 4)
    }
    this.states(units)
    this.#samples = Math.max(this.#samples, samples)
    return true
  }
}
