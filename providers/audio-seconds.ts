/** How long a sound in a request may be, from its bytes: what sound is billed by. Compression hides it; only WAV states its rate. */

/** 8 kbit/s, the least an MP3 can have. */
const LEAST_BYTES_PER_SECOND = 1_000

/** Upper bound of the seconds of sound in base64, not rounded. */
export function audioSeconds(data: string): number {
  const header = Buffer.from(data.slice(0, 64), 'base64')
  const isPcm =
    header.length >= 36 &&
    header.toString('latin1', 0, 4) === 'RIFF' &&
    header.toString('latin1', 12, 16) === 'fmt ' &&
    header.readUInt16LE(20) === 1
  // From the format itself: a decoder ignores the header's own statement of its byte rate.
  const rate = isPcm ? (header.readUInt32LE(24) * header.readUInt16LE(22) * header.readUInt16LE(34)) / 8 : 0
  return base64Bytes(data) / Math.max(LEAST_BYTES_PER_SECOND, rate)
}

export function base64Bytes(data: string): number {
  return Math.ceil((data.length * 3) / 4)
}
