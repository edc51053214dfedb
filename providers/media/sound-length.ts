/**
 * How many seconds a sound lasts, which is what it is billed by: as its frames prove it, not as a header states it. Formats that
 * can't be walked without decoding them have no proven length. Linear in the bytes; never throws.
 */
import { type CutTexts, NO_CUTS } from '../cut-texts.ts'
import { base64Bytes, decodeBase64 } from './base64.ts'
import { flacSeconds } from './flac-length.ts'
import { mp4Sound } from './mp4-length.ts'
import { opusSeconds } from './opus-length.ts'

export interface Duration {
  /** Seconds no decoder hears more than; null where only the provider's own limit bounds them. */
  bound: number | null
  /** Seconds as the container's usual rate has it; the bound where that is known. */
  expected: number
}

/** Bytes a second of a usual recording, by its first bytes: where the length is unknown. */
const USUAL_RATES: readonly (readonly [RegExp, number])[] = [
  [/^RIFF/, 32_000],
  [/^fLaC/, 80_000],
  [/^OggS/, 8_000],
]
/** 128 kbit/s. */
const USUAL_RATE = 16_000

/** Of a sound in base64. */
export function soundLength(data: string, cuts: CutTexts = NO_CUTS): Duration {
  const bytes = decodeBase64(data, cuts)
  const bound = bytes === null ? null : soundSeconds(bytes)
  if (bound !== null) return { bound, expected: bound }
  const head = Buffer.from(data.slice(0, 24), 'base64').toString('latin1')
  const rate = USUAL_RATES.find(([pattern]) => pattern.test(head))?.[1] ?? USUAL_RATE
  return { bound: null, expected: base64Bytes(data, cuts) / rate }
}

export function isMp4(bytes: Buffer): boolean {
  return bytes.toString('latin1', 4, 8) === 'ftyp'
}

/** Seconds no decoder hears more than; null where that can't be proved. */
export function soundSeconds(bytes: Buffer): number | null {
  const magic = bytes.toString('latin1', 0, 4)
  if (magic === 'RIFF') return wavSeconds(bytes)
  if (magic === 'fLaC') return flacSeconds(bytes)
  if (magic === 'OggS') return opusSeconds(bytes)
  if (isMp4(bytes)) return mp4Sound(bytes)?.most ?? null
  return framesSeconds(bytes)
}

/** PCM, floats, and the two logarithmic forms of telephones: a fixed number of bytes a sample. */
const FIXED_FORMATS: ReadonlySet<number> = new Set([1, 3, 6, 7])
const EXTENSIBLE = 0xfffe

/** The head states this for data whose end was not known when it was written. */
const OPEN_ENDED = 0x7fff_0000

/** By the whole file at the rate of its samples, or what its head says where that is more: some programs believe it. */
function wavSeconds(bytes: Buffer): number | null {
  if (bytes.toString('latin1', 8, 12) !== 'WAVE') return null
  let rate: number | null = null
  let hasData = false
  let stated = 0
  for (let at = 12; at + 8 <= bytes.length; ) {
    const type = bytes.toString('latin1', at, at + 4)
    const length = bytes.readUInt32LE(at + 4)
    if (type === 'fmt ') {
      if (rate !== null || at + 8 + length > bytes.length) return null
      rate = sampleBytesPerSecond(bytes, at + 8, length)
      if (rate === null) return null
    } else if (type === 'data') {
      hasData = true
      if (length < OPEN_ENDED) stated = Math.max(stated, length)
    }
    at += 8 + length + (length & 1)
  }
  return hasData && rate !== null ? Math.max(bytes.length, stated) / rate : null
}

/** From the format itself: a decoder ignores the header's own statement of its byte rate. */
function sampleBytesPerSecond(bytes: Buffer, at: number, length: number): number | null {
  if (length < 16) return null
  const stated = bytes.readUInt16LE(at)
  const format = stated === EXTENSIBLE && length >= 26 ? bytes.readUInt16LE(at + 24) : stated
  const channels = bytes.readUInt16LE(at + 2)
  const sampleRate = bytes.readUInt32LE(at + 4)
  const block = bytes.readUInt16LE(at + 12)
  const bits = bytes.readUInt16LE(at + 14)
  const isPlain = FIXED_FORMATS.has(format) && bits % 8 === 0 && block === (channels * bits) / 8
  return isPlain && block > 0 && sampleRate > 0 ? block * sampleRate : null
}

interface Frame {
  bytes: number
  seconds: number
}

/** Frames of MPEG audio (layers I to III) or AAC (ADTS), one after the other without a byte between them, and tags around them. */
function framesSeconds(bytes: Buffer): number | null {
  let at = afterLeadingTags(bytes)
  if (at === null) return null
  const end = beforeTrailingTags(bytes)
  const isAac = at + 7 <= end && bytes[at] === 0xff && (bytes[at + 1]! & 0xf6) === 0xf0
  let seconds = isAac ? 0 : statedSeconds(bytes, at)
  let frames = 0
  let heard = 0
  while (at < end) {
    const frame = at + 7 > end ? null : isAac ? aacFrame(bytes, at) : mpegFrame(bytes, at)
    if (frame === null) return null
    heard += frame.seconds
    frames++
    at += frame.bytes
  }
  // A last frame that is cut off counts whole.
  seconds = Math.max(seconds, heard)
  return frames > 0 ? seconds : null
}

/** Whatever stands between them, so many frames at the beginning tell every decoder what this is. */
const SURE_FRAMES = 4

/** Of what begins as MPEG audio: the seconds its head states, 0 for none. Null for anything else. */
export function mpegSound(bytes: Buffer): number | null {
  const start = afterLeadingTags(bytes)
  let at = start
  for (let i = 0; at !== null && i < SURE_FRAMES; i++) {
    const frame = at + 7 > bytes.length ? null : mpegFrame(bytes, at)
    at = frame === null ? null : at + frame.bytes
  }
  return start === null || at === null ? null : statedSeconds(bytes, start)
}

/** ID3v2, which states its length; several may follow each other. */
function afterLeadingTags(bytes: Buffer): number | null {
  let at = 0
  while (bytes.toString('latin1', at, at + 3) === 'ID3' && at + 10 <= bytes.length) {
    const size = [6, 7, 8, 9].map((offset) => bytes[at + offset] ?? 0)
    if (size.some((part) => part > 127)) return null
    const footer = (bytes[at + 5]! & 0x10) === 0 ? 0 : 10
    at += 10 + size.reduce((sum, part) => sum * 128 + part, 0) + footer
  }
  return at
}

function beforeTrailingTags(bytes: Buffer): number {
  return bytes.length >= 128 && bytes.toString('latin1', bytes.length - 128, bytes.length - 125) === 'TAG'
    ? bytes.length - 128
    : bytes.length
}

const KBITS: Readonly<Record<string, readonly number[]>> = {
  '1.1': [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
  '1.2': [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
  '1.3': [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
  '2.1': [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
  '2.2': [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
}
const MPEG_RATES = [44_100, 48_000, 32_000]

/** Null for what is no frame, and for the free format, whose length is nowhere stated. */
function mpegFrame(bytes: Buffer, at: number): Frame | null {
  const head = bytes.readUInt32BE(at)
  const version = (head >>> 19) & 3
  const layer = 4 - ((head >>> 17) & 3)
  const bitrate = (head >>> 12) & 15
  const rateIndex = (head >>> 10) & 3
  if (head >>> 21 !== 0x7ff || version === 1 || layer === 4 || bitrate === 0 || bitrate === 15) return null
  const fullRate = MPEG_RATES[rateIndex]
  if (fullRate === undefined) return null
  const isFirst = version === 3
  const rate = fullRate / (isFirst ? 1 : version === 2 ? 2 : 4)
  const kbits = KBITS[`${isFirst ? 1 : 2}.${!isFirst && layer === 3 ? 2 : layer}`]?.[bitrate - 1]
  if (kbits === undefined) return null
  const padding = (head >>> 9) & 1
  if (layer === 1) return { bytes: (Math.floor((12_000 * kbits) / rate) + padding) * 4, seconds: 384 / rate }
  const samples = layer === 3 && !isFirst ? 576 : 1_152
  return { bytes: Math.floor((samples * 125 * kbits) / rate) + padding, seconds: samples / rate }
}

/** What the first frame says of the whole (Xing, Info, VBRI), which some programs believe without counting. */
function statedSeconds(bytes: Buffer, at: number): number {
  const frame = at + 64 > bytes.length ? null : mpegFrame(bytes, at)
  if (frame === null) return 0
  const text = bytes.toString('latin1', at, at + Math.min(frame.bytes, 200))
  const xing = text.search(/Xing|Info/)
  const vbri = text.indexOf('VBRI')
  const hasCount = xing >= 0 && at + xing + 12 <= bytes.length && (bytes[at + xing + 7]! & 1) === 1
  const count = hasCount ? bytes.readUInt32BE(at + xing + 8) : 0
  const other = vbri >= 0 && at + vbri + 18 <= bytes.length ? bytes.readUInt32BE(at + vbri + 14) : 0
  return Math.max(count, other) * frame.seconds
}

const AAC_RATES = [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350]

function aacFrame(bytes: Buffer, at: number): Frame | null {
  const rate = AAC_RATES[(bytes[at + 2]! >> 2) & 15]
  const length = ((bytes[at + 3]! & 3) << 11) | (bytes[at + 4]! << 3) | (bytes[at + 5]! >> 5)
  if (bytes[at] !== 0xff || (bytes[at + 1]! & 0xf6) !== 0xf0 || rate === undefined || length < 7) return null
  return { bytes: length, seconds: (1_024 * ((bytes[at + 6]! & 3) + 1)) / rate }
}
