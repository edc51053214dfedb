/**
 * Width and height of a PNG, JPEG, GIF or WebP file, as a walk over its whole structure proves them. A file that says its size twice,
 * goes on after its end, or breaks a rule of its format may look different to another decoder: its size is unknown. Nothing is
 * decoded; the time is linear in the bytes; it never throws.
 */
import { type CutTexts, NO_CUTS } from '../cut-texts.ts'
import { dataUrlBytes } from './base64.ts'

export interface ImageSize {
  width: number
  height: number
}

/** The size from a base64 `data:` URL, by its bytes and not by the type it states; null where it is unknown. */
export function dataUrlImageSize(url: string, cuts: CutTexts = NO_CUTS): ImageSize | null {
  const bytes = dataUrlBytes(url, cuts)
  return bytes === null ? null : imageSize(bytes)
}

/** No decoder sees more than this; null where nobody can know. */
export function imageSize(bytes: Buffer): ImageSize | null {
  const size = walk(bytes)
  return size !== null && size.width > 0 && size.height > 0 ? size : null
}

const PNG_SIGN = Buffer.from('89504e470d0a1a0a', 'hex')

function walk(bytes: Buffer): ImageSize | null {
  const type = imageType(bytes)
  return type === null ? null : WALKS[type](bytes)
}

const WALKS = { 'image/png': pngSize, 'image/gif': gifSize, 'image/webp': webpSize, 'image/jpeg': jpegSize }

/** The type that its first bytes say; null for what is no such image. */
export function imageType(bytes: Buffer): keyof typeof WALKS | null {
  if (bytes.length < 16) return null
  if (bytes.subarray(0, 8).equals(PNG_SIGN)) return 'image/png'
  const magic = bytes.toString('latin1', 0, 6)
  if (magic === 'GIF87a' || magic === 'GIF89a') return 'image/gif'
  if (magic.startsWith('RIFF') && bytes.toString('latin1', 8, 12) === 'WEBP') return 'image/webp'
  return bytes.readUInt16BE(0) === 0xffd8 ? 'image/jpeg' : null
}

/** IHDR first and once, whole chunks, IEND last. Frames of an animation have to lie within. */
function pngSize(bytes: Buffer): ImageSize | null {
  let size: ImageSize | null = null
  let hasData = false
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = bytes.readUInt32BE(at)
    const type = bytes.toString('latin1', at + 4, at + 8)
    const body = at + 8
    const next = body + length + 4
    if (next > bytes.length || (size === null) !== (type === 'IHDR')) return null
    if (type === 'IHDR') {
      if (length !== 13) return null
      size = { width: bytes.readUInt32BE(body), height: bytes.readUInt32BE(body + 4) }
    } else if (type === 'fcTL') {
      const [width, height, x, y] = length === 26 ? words(bytes, body + 4, 4) : []
      if (size === null || !((width ?? 0) + (x ?? 0) <= size.width && (height ?? 0) + (y ?? 0) <= size.height))
        return null
      if (length !== 26) return null
    } else if (type === 'IDAT') hasData = true
    else if (type === 'IEND') return next === bytes.length && hasData ? size : null
    at = next
  }
  return null
}

function words(bytes: Buffer, at: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => bytes.readUInt32BE(at + 4 * index))
}

/** The screen, or as far as a frame reaches beyond it: decoders differ on which of them counts. */
function gifSize(bytes: Buffer): ImageSize | null {
  const size = { width: bytes.readUInt16LE(6), height: bytes.readUInt16LE(8) }
  let frames = 0
  for (let at = 13 + colorTable(bytes[10]); at < bytes.length; ) {
    const kind = bytes[at]
    if (kind === 0x3b) return at + 1 === bytes.length && frames > 0 ? size : null
    if (kind === 0x21) at = afterBlocks(bytes, at + 2)
    else if (kind === 0x2c && at + 11 <= bytes.length) {
      size.width = Math.max(size.width, bytes.readUInt16LE(at + 1) + bytes.readUInt16LE(at + 5))
      size.height = Math.max(size.height, bytes.readUInt16LE(at + 3) + bytes.readUInt16LE(at + 7))
      frames++
      at = afterBlocks(bytes, at + 11 + colorTable(bytes[at + 9]))
    } else return null
  }
  return null
}

function colorTable(flags = 0): number {
  return (flags & 0x80) === 0 ? 0 : 3 * 2 ** ((flags & 7) + 1)
}

/** Blocks of up to 255 bytes, the last one empty. */
function afterBlocks(bytes: Buffer, start: number): number {
  let at = start
  for (let length = bytes[at]; length !== undefined && length > 0; length = bytes[at]) at += 1 + length
  return at + 1
}

/** The largest of the canvas, the frames and the pictures inside them. */
function webpSize(bytes: Buffer): ImageSize | null {
  if (bytes.readUInt32LE(4) + 8 !== bytes.length) return null
  const size = { width: 0, height: 0 }
  let hasPicture = false
  // A frame's own chunks are walked as if they stood beside it.
  for (let at = 12; at < bytes.length; ) {
    if (at + 8 > bytes.length) return null
    const type = bytes.toString('latin1', at, at + 4)
    const length = bytes.readUInt32LE(at + 4)
    const body = at + 8
    const next = body + length + (length & 1)
    if (next > bytes.length) return null
    const own =
      type === 'VP8X' || type === 'ANMF' || type === 'VP8 ' || type === 'VP8L'
        ? pictureSize(type, bytes, body, length)
        : NOTHING
    if (own === null) return null
    size.width = Math.max(size.width, own.width)
    size.height = Math.max(size.height, own.height)
    if (type === 'VP8 ' || type === 'VP8L') hasPicture = true
    at = type === 'ANMF' ? body + 16 : next
  }
  return hasPicture ? size : null
}

const NOTHING: ImageSize = Object.freeze({ width: 0, height: 0 })

function pictureSize(type: string, bytes: Buffer, at: number, length: number): ImageSize | null {
  if (type === 'VP8X') {
    return length < 10 ? null : { width: bytes.readUIntLE(at + 4, 3) + 1, height: bytes.readUIntLE(at + 7, 3) + 1 }
  }
  if (type === 'ANMF') {
    if (length < 16) return null
    const [x = 0, y = 0, width = 0, height = 0] = [0, 3, 6, 9].map((offset) => bytes.readUIntLE(at + offset, 3))
    return { width: 2 * x + width + 1, height: 2 * y + height + 1 }
  }
  if (type === 'VP8L') {
    if (length < 5 || bytes[at] !== 0x2f) return null
    const bits = bytes.readUInt32LE(at + 1)
    return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 }
  }
  // A key frame, which has the size; others build on one that is not there.
  if (length < 10 || (bytes[at]! & 1) === 1 || bytes.readUIntBE(at + 3, 3) !== 0x9d012a) return null
  return { width: bytes.readUInt16LE(at + 6) & 0x3fff, height: bytes.readUInt16LE(at + 8) & 0x3fff }
}

/**
 * Every segment from the first to the end of the image, the compressed data between them included: one start of frame, no height
 * that comes later. What stands behind the end is no part of the image (telephones put second pictures and films there).
 */
function jpegSize(bytes: Buffer): ImageSize | null {
  let size: ImageSize | null = null
  let hasScan = false
  for (let at = 2; at + 2 <= bytes.length; ) {
    if (bytes[at] !== 0xff) return null
    const marker = bytes[at + 1] ?? 0
    if (marker === 0xff) {
      at++ // fill bytes
      continue
    }
    if (marker === 0xd9) return hasScan ? size : null
    if (isOdd(marker)) return null
    if (at + 4 > bytes.length) return null
    const length = bytes.readUInt16BE(at + 2)
    const next = at + 2 + length
    if (length < 2 || next > bytes.length) return null
    if (isFrame(marker)) {
      if (size !== null || length < 8) return null
      size = { height: bytes.readUInt16BE(at + 5), width: bytes.readUInt16BE(at + 7) }
    }
    if (marker === 0xda) {
      if (size === null) return null
      hasScan = true
    }
    at = marker === 0xda ? afterScan(bytes, next) : next
  }
  return null
}

/** Restarts outside a scan, a second start of image, a height defined afterwards, hierarchical frames: decoders differ. */
function isOdd(marker: number): boolean {
  return marker < 0xc0 || (marker >= 0xd0 && marker <= 0xd8) || marker === 0xdc || marker === 0xde || marker === 0xdf
}

function isFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc
}

/** The next marker: in compressed data 0xff is followed by 0, or by a restart. */
function afterScan(bytes: Buffer, start: number): number {
  for (let at = start; at < bytes.length; at++) {
    if (bytes[at] !== 0xff) continue
    const marker = bytes[at + 1] ?? 0
    if (marker === 0 || (marker >= 0xd0 && marker <= 0xd7)) at++
    else if (marker !== 0xff) return at
  }
  return bytes.length
}
