/**
 * The length of Opus in WebM or Matroska, which is what browsers record: each packet says how long it sounds. Never less than its times
 * and its head say. Packets that share a block, tracks that are compressed, and other codecs are unknown.
 */
import { packetSeconds } from './opus-length.ts'

/** Elements whose content is elements that matter here. Those without a stated end are walked in the same way. */
const MASTERS: ReadonlySet<number> = new Set([
  0x18538067, // Segment
  0x1549a966, // Info
  0x1654ae6b, // Tracks
  0xae, // TrackEntry
  0x1f43b675, // Cluster
  0xa0, // BlockGroup
])
const ID = { scale: 0x2ad7b1, duration: 0x4489, number: 0xd7, type: 0x83, codec: 0x86, encodings: 0x6d80, entry: 0xae }
const TIMES = { cluster: 0xe7, simpleBlock: 0xa3, block: 0xa1, blockDuration: 0x9b }
const SOUND = 2

interface Track {
  number: number
  isSound: boolean
  codec: string
}

interface Walk {
  /** Nanoseconds of a unit of time. */
  scale: number
  /** In units. */
  duration: number
  cluster: number
  last: number
  tracks: Track[]
  /** Seconds of all packets of sound. */
  heard: number
  packets: number
}

/** Seconds; null where the elements can't be walked to the end. */
export function webmSeconds(bytes: Buffer): number | null {
  if (bytes.length < 8 || bytes.readUInt32BE(0) !== 0x1a45dfa3) return null
  const walk: Walk = { scale: 1_000_000, duration: 0, cluster: 0, last: 0, tracks: [], heard: 0, packets: 0 }
  for (let at = 0; at < bytes.length; ) {
    const element = readElement(bytes, at)
    if (element === null) return null
    const { id, body, size } = element
    if (id === ID.entry) walk.tracks.push({ number: 0, isSound: false, codec: '' })
    if (MASTERS.has(id)) {
      at = body
      continue
    }
    if (size === null || id === ID.encodings) return null
    // The last one may be cut off.
    if (!readLeaf(bytes, id, body, Math.min(body + size, bytes.length), walk)) return null
    at = body + size
  }
  if (walk.packets === 0) return null
  return Math.max(walk.heard, (Math.max(walk.duration, walk.last) * walk.scale) / 1e9)
}

interface Element {
  id: number
  body: number
  /** Null where it is not stated. */
  size: number | null
}

function readElement(bytes: Buffer, at: number): Element | null {
  const idBytes = Math.clz32(bytes[at]!) - 23
  if (idBytes > 4 || at + idBytes >= bytes.length) return null
  const sizeAt = at + idBytes
  const sizeBytes = Math.clz32(bytes[sizeAt]!) - 23
  if (sizeBytes > 8 || sizeAt + sizeBytes > bytes.length) return null
  let size = bytes[sizeAt]! & (0xff >> sizeBytes)
  let isOpen = size === 0xff >> sizeBytes
  for (let i = 1; i < sizeBytes; i++) {
    size = size * 256 + bytes[sizeAt + i]!
    isOpen &&= bytes[sizeAt + i] === 0xff
  }
  return { id: bytes.readUIntBE(at, idBytes), body: sizeAt + sizeBytes, size: isOpen ? null : size }
}

/** False for what can't be read. */
function readLeaf(bytes: Buffer, id: number, body: number, end: number, walk: Walk): boolean {
  const length = end - body
  const number = () => (length > 6 || length < 1 ? 0 : bytes.readUIntBE(body, length))
  const track = walk.tracks.at(-1)
  if (id === ID.scale) walk.scale = number()
  else if (id === ID.duration)
    walk.duration = length === 4 ? bytes.readFloatBE(body) : length === 8 ? bytes.readDoubleBE(body) : 0
  else if (id === ID.number && track !== undefined) track.number = number()
  else if (id === ID.type && track !== undefined) track.isSound = number() === SOUND
  else if (id === ID.codec && track !== undefined) track.codec = bytes.toString('latin1', body, end).replace(/\0+$/, '')
  else if (id === TIMES.cluster) walk.cluster = number()
  else if (id === TIMES.blockDuration) walk.last += number()
  else if (id === TIMES.simpleBlock || id === TIMES.block) return readBlock(bytes, body, end, walk)
  return true
}

function readBlock(bytes: Buffer, body: number, end: number, walk: Walk): boolean {
  // Of up to 127 tracks each is named in one byte.
  if (body + 4 > end || (bytes[body]! & 0x80) === 0) return false
  const tracks = walk.tracks.filter(({ number }) => number === (bytes[body]! & 0x7f))
  if (tracks.length !== 1) return false
  walk.last = Math.max(walk.last, walk.cluster + bytes.readInt16BE(body + 1))
  const [track] = tracks
  if (!track!.isSound) return true
  if (track!.codec !== 'A_OPUS' || (bytes[body + 3]! & 0x06) !== 0) return false
  walk.heard += packetSeconds(bytes, body + 4, end)
  walk.packets += 1
  return true
}
