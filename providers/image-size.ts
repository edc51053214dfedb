/** Width and height from the first bytes of a PNG, JPEG, GIF or WebP file: enough to price an image, without decoding it. */

export interface ImageSize {
  width: number
  height: number
}

/** A JPEG's size comes after its metadata, colour profiles and previews included; beyond this the size counts as unknown. */
const SEARCHED_BYTES = 512 * 1024

/** Reads the size from a base64 `data:` URL; `null` for any other URL, an unknown format, or a truncated header. */
export function dataUrlImageSize(url: string): ImageSize | null {
  const comma = url.indexOf(',')
  if (comma < 0 || !/^data:[^,]*;base64$/i.test(url.slice(0, comma))) return null
  return imageSize(Buffer.from(url.slice(comma + 1, comma + 1 + Math.ceil((SEARCHED_BYTES * 4) / 3)), 'base64'))
}

/** Reads the size from a file's first bytes; `null` where they don't tell. */
export function imageSize(bytes: Buffer): ImageSize | null {
  const size = readHeader(bytes)
  return size !== null && size.width > 0 && size.height > 0 ? size : null
}

function readHeader(bytes: Buffer): ImageSize | null {
  if (bytes.length < 24) return null
  if (bytes.readUInt32BE(0) === 0x89504e47) return { width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) }
  const magic = bytes.toString('latin1', 0, 4)
  if (magic === 'GIF8') return { width: bytes.readUInt16LE(6), height: bytes.readUInt16LE(8) }
  if (magic === 'RIFF' && bytes.toString('latin1', 8, 12) === 'WEBP') return webpSize(bytes)
  return bytes.readUInt16BE(0) === 0xffd8 ? jpegSize(bytes) : null
}

function webpSize(bytes: Buffer): ImageSize | null {
  if (bytes.length < 30) return null
  const chunk = bytes.toString('latin1', 12, 16)
  if (chunk === 'VP8 ') return { width: bytes.readUInt16LE(26) & 0x3fff, height: bytes.readUInt16LE(28) & 0x3fff }
  if (chunk === 'VP8X') return { width: bytes.readUIntLE(24, 3) + 1, height: bytes.readUIntLE(27, 3) + 1 }
  if (chunk !== 'VP8L') return null
  const bits = bytes.readUInt32LE(21)
  return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 }
}

/** Walks the segments to the start-of-frame, the only one that holds the size. */
function jpegSize(bytes: Buffer): ImageSize | null {
  for (let at = 2; at + 9 <= bytes.length; ) {
    if (bytes[at] !== 0xff) return null
    const marker = bytes[at + 1] ?? 0
    if (marker === 0xff) {
      at++ // fill bytes
      continue
    }
    const isFrame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc
    if (isFrame) return { height: bytes.readUInt16BE(at + 5), width: bytes.readUInt16BE(at + 7) }
    const length = bytes.readUInt16BE(at + 2)
    if (length < 2) return null
    at += 2 + length
  }
  return null
}
