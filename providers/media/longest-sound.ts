/**
 * The longest that a recording can sound, for what is billed by its length. Beyond what `sound-length.ts` proves frame by frame: MPEG
 * audio whose frames don't follow each other without a gap is never longer than at its lowest rate; Vorbis by its packets; what browsers
 * record, by the packets of Opus in it. Linear in the bytes; never throws.
 */
import { mp4Sound } from './mp4-length.ts'
import { type Duration, isMp4, mpegSound, soundSeconds } from './sound-length.ts'
import { vorbisSeconds } from './vorbis-length.ts'
import { webmSeconds } from './webm-length.ts'

export type { Duration } from './sound-length.ts'

/** Bytes a second: MPEG audio has 8 kbit/s or more, of which a frame may lack a part of a byte. */
const LOWEST_MPEG_RATE = 990
/** 128 kbit/s. */
const USUAL_RATE = 16_000

/** The bound is null where nothing but the whole decoding tells. */
export function longestSound(bytes: Buffer): Duration {
  if (isMp4(bytes)) {
    const sound = mp4Sound(bytes)
    return { bound: sound?.most ?? null, expected: sound?.usual ?? bytes.length / USUAL_RATE }
  }
  const exact = soundSeconds(bytes) ?? webmSeconds(bytes)
  if (exact !== null) return { bound: exact, expected: exact }
  const vorbis = vorbisSeconds(bytes)
  if (vorbis !== null) return vorbis
  const usual = bytes.length / USUAL_RATE
  const stated = mpegSound(bytes)
  if (stated === null) return { bound: null, expected: usual }
  const bound = Math.max(stated, bytes.length / LOWEST_MPEG_RATE)
  return { bound, expected: Math.min(bound, Math.max(stated, usual)) }
}
