/** The length of a FLAC file. Frames don't state their size, but each begins with a header that can be told from other bytes. */

const RATES = [88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000]

/**
 * The samples of everything that looks like a frame's header (a sync code, no reserved value, a right checksum): every real frame is
 * among them. At the lowest rate that stands anywhere. Null for metadata that can't be walked.
 */
export function flacSeconds(bytes: Buffer): number | null {
  if (bytes.length < 42 || (bytes[4]! & 0x7f) !== 0 || bytes.readUIntBE(5, 3) !== 34) return null
  const streamRate = bytes.readUIntBE(18, 3) >>> 4
  const stated = (bytes[21]! & 15) * 2 ** 32 + bytes.readUInt32BE(22)
  const start = afterMetadata(bytes)
  if (start === null || streamRate === 0) return null
  let samples = 0
  let lowest = streamRate
  for (let at = start; at + 6 <= bytes.length; at++) {
    if (bytes[at] !== 0xff || (bytes[at + 1]! & 0xfe) !== 0xf8) continue
    const frame = frameHeader(bytes, at)
    if (frame === null) continue
    samples += frame.samples
    if (frame.rate !== null) lowest = Math.min(lowest, frame.rate)
  }
  return samples === 0 ? null : Math.max(samples, stated) / lowest
}

function afterMetadata(bytes: Buffer): number | null {
  let at = 4
  for (let isLast = false; !isLast; ) {
    if (at + 4 > bytes.length) return null
    isLast = (bytes[at]! & 0x80) !== 0
    at += 4 + bytes.readUIntBE(at + 1, 3)
  }
  return at
}

function frameHeader(bytes: Buffer, at: number): { samples: number; rate: number | null } | null {
  const size = bytes[at + 2]! >> 4
  const rateCode = bytes[at + 2]! & 15
  const channels = bytes[at + 3]! >> 4
  if (size === 0 || rateCode === 15 || channels > 10 || (bytes[at + 3]! & 1) === 1) return null
  const number = numberBytes(bytes[at + 4]!)
  if (number === 0) return null
  let end = at + 4 + number
  const sizeBytes = size === 6 ? 1 : size === 7 ? 2 : 0
  const rateBytes = rateCode === 12 ? 1 : rateCode === 13 || rateCode === 14 ? 2 : 0
  if (end + sizeBytes + rateBytes >= bytes.length) return null
  const samples = sizeBytes > 0 ? bytes.readUIntBE(end, sizeBytes) + 1 : blockSize(size)
  end += sizeBytes
  const value = rateBytes > 0 ? bytes.readUIntBE(end, rateBytes) : 0
  end += rateBytes
  if (checksum(bytes, at, end) !== bytes[end]) return null
  const rate =
    rateCode === 12 ? value * 1_000 : rateCode === 13 ? value : rateCode === 14 ? value * 10 : RATES[rateCode - 1]
  return { samples, rate: rate === undefined || rate === 0 ? null : rate }
}

function blockSize(code: number): number {
  if (code === 1) return 192
  return code <= 5 ? 576 * 2 ** (code - 2) : 256 * 2 ** (code - 8)
}

/** Of the frame's number, written as UTF-8 writes characters; 0 where it is none. */
function numberBytes(first: number): number {
  if (first < 0x80) return 1
  const ones = Math.clz32(~(first << 24))
  return ones >= 2 && ones <= 7 ? ones : 0
}

function checksum(bytes: Buffer, start: number, end: number): number {
  let sum = 0
  for (let at = start; at < end; at++) {
    sum ^= bytes[at]!
    for (let bit = 0; bit < 8; bit++) sum = (sum & 0x80) === 0 ? sum << 1 : ((sum << 1) ^ 7) & 0xff
  }
  return sum
}
