/**
 * How long one sample of a track sounds at most, by its codec. A table may say that a sample lasts no time at all; what is decoded is a whole
 * frame all the same. Null for codecs whose frames can't be bounded so.
 */

/** Seconds of the longest packet, or frame at the lowest rate. */
const FIXED: Readonly<Record<string, number>> = {
  Opus: 0.12,
  'ac-3': 1_536 / 32_000,
  'ec-3': 1_536 / 16_000,
  samr: 0.3,
  sawb: 0.3,
}

const AAC_RATES = [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350]
const MPEG4_AUDIO = 0x40
/** Types of AAC whose frames have 1,024 samples of the rate that is stated first, or fewer. */
const PLAIN_AAC: ReadonlySet<number> = new Set([1, 2, 3, 4, 5, 17, 19, 23, 29, 39])
const AAC_FRAME = 1_024
const LARGEST_FRAME = 4_096

export interface SampleSeconds {
  most: number
  /** Encoders of Opus write packets of 20 ms, which may have 120. */
  usual: number
}

const USUAL_OPUS = 0.02

/** @param body of a box `stsd`. Null where one of its entries can't be bounded. */
export function sampleSeconds(bytes: Buffer, body: number, end: number): SampleSeconds | null {
  if (body + 8 > end) return null
  let most = 0
  let usual = 0
  let at = body + 8
  for (let left = bytes.readUInt32BE(body + 4); left > 0; left -= 1) {
    const size = at + 8 > end ? 0 : bytes.readUInt32BE(at)
    if (size < 36 || at + size > end) return null
    const seconds = entrySeconds(bytes.subarray(at, at + size))
    if (seconds === null) return null
    most = Math.max(most, seconds)
    usual = Math.max(usual, bytes.toString('latin1', at + 4, at + 8) === 'Opus' ? USUAL_OPUS : seconds)
    at += size
  }
  return most > 0 ? { most, usual } : null
}

function entrySeconds(entry: Buffer): number | null {
  const type = entry.toString('latin1', 4, 8)
  if (Object.hasOwn(FIXED, type)) return FIXED[type]!
  if (type === 'mp4a') return aacSeconds(entry)
  return type === 'alac' ? alacSeconds(entry) : null
}

/** The head of a sound's entry has 28 bytes after its name, more in QuickTime's later versions. */
function inner(entry: Buffer, type: string): Buffer | null {
  const more = { 0: 0, 1: 16, 2: 36 }[entry.readUInt16BE(16)]
  if (more === undefined) return null
  for (let at = 36 + more; at + 8 <= entry.length; ) {
    const size = entry.readUInt32BE(at)
    if (size < 8 || at + size > entry.length) return null
    const name = entry.toString('latin1', at + 4, at + 8)
    if (name === type) return entry.subarray(at + 8, at + size)
    // QuickTime puts it into a box of its own.
    at += name === 'wave' ? 8 : size
  }
  return null
}

/** `esds`: descriptors in each other, the innermost of which configures the decoder. */
function aacSeconds(entry: Buffer): number | null {
  const box = inner(entry, 'esds')
  if (box === null || box.length < 5) return null
  const stream = descriptor(box, 4, 3)
  if (stream === null || stream.length < 3) return null
  const flags = stream[2]!
  const skip = 3 + (flags & 0x80 ? 2 : 0) + (flags & 0x40 ? 1 + (stream[3] ?? 0) : 0) + (flags & 0x20 ? 2 : 0)
  const decoder = descriptor(stream, skip, 4)
  if (decoder === null || decoder[0] !== MPEG4_AUDIO) return null
  const config = descriptor(decoder, 13, 5)
  return config === null ? null : configSeconds(config)
}

/** The contents of a descriptor with this tag, at this place. */
function descriptor(bytes: Buffer, at: number, tag: number): Buffer | null {
  if (bytes[at] !== tag) return null
  let size = 0
  let place = at + 1
  for (let digits = 0; digits < 4; digits += 1) {
    const byte = bytes[place]
    if (byte === undefined) return null
    place += 1
    size = size * 128 + (byte & 0x7f)
    if ((byte & 0x80) === 0) break
  }
  return place + size > bytes.length ? null : bytes.subarray(place, place + size)
}

/** AudioSpecificConfig: five bits of type (or eleven), four of the rate's index (or the rate itself). */
function configSeconds(config: Buffer): number | null {
  let at = 0
  const take = (count: number): number => {
    let value = 0
    for (let bit = 0; bit < count; bit += 1, at += 1)
      value = value * 2 + (((config[at >> 3] ?? 0) >> (7 - (at & 7))) & 1)
    return value
  }
  const short = take(5)
  const type = short === 31 ? 32 + take(6) : short
  const index = take(4)
  const rate = index === 15 ? take(24) : AAC_RATES[index]
  if (rate === undefined || rate < 1_000 || at > config.length * 8) return null
  return (PLAIN_AAC.has(type) ? AAC_FRAME : LARGEST_FRAME) / rate
}

/** Apple's lossless codec says in its own box how many samples a frame has, and their rate. */
function alacSeconds(entry: Buffer): number | null {
  const box = inner(entry, 'alac')
  if (box === null || box.length < 28) return null
  const [frame, rate] = [box.readUInt32BE(4), box.readUInt32BE(24)]
  return frame === 0 || rate === 0 ? null : frame / rate
}
