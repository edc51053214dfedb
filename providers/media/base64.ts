/**
 * Bytes of base64 that every decoder reads the same way. Decoders differ on `-` and `_`, on `=` in the middle and on what is no
 * base64 at all: some skip it, some stop, some refuse. Of such a text nobody knows which bytes the provider will see.
 */

/** The bytes; null where decoders may disagree. White space is allowed: decoders skip it or refuse it. Linear in the length. */
export function decodeBase64(text: string): Buffer | null {
  const end = text.search(/[^A-Za-z0-9+/ \t\r\n]/)
  if (end >= 0 && !/^={1,2}[ \t\r\n]*$/.test(text.slice(end))) return null
  const digits = lengthWithoutSpace(end < 0 ? text : text.slice(0, end))
  const padding = end < 0 ? 0 : text[end + 1] === '=' ? 2 : 1
  const isWhole = padding === 0 ? digits % 4 !== 1 : (digits + padding) % 4 === 0
  return isWhole ? Buffer.from(text, 'base64') : null
}

function lengthWithoutSpace(text: string): number {
  return /[ \t\r\n]/.test(text) ? text.replace(/[ \t\r\n]+/g, '').length : text.length
}

/** The bytes of a base64 `data:` URL, whatever type it states; null for another URL, and where decoders may disagree. */
export function dataUrlBytes(url: string): Buffer | null {
  const comma = url.indexOf(',')
  if (comma < 0 || comma > 256 || !/^data:[^,]*;base64$/i.test(url.slice(0, comma))) return null
  return decodeBase64(url.slice(comma + 1))
}

/** At least the number of bytes in a base64 text. */
export function base64Bytes(data: string): number {
  return Math.ceil((data.length * 3) / 4)
}
