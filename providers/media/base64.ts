import { type CutTexts, NO_CUTS } from '../cut-texts.ts'

/**
 * Bytes of base64 that every decoder reads the same way. Decoders differ on `-` and `_`, on `=` in the middle and on what is no
 * base64 at all: some skip it, some stop, some refuse. Of such a text nobody knows which bytes the provider will see.
 */

/**
 * The bytes; null where decoders may disagree. White space is allowed: decoders skip it or refuse it. By `atob`, the strict decoder that
 * Node has in native code: the pattern that looked at each character stood the event loop still for 200 ms at 32 MB, this for 40.
 */
export function decodeBase64(text: string, cuts: CutTexts = NO_CUTS): Buffer | null {
  const cut = cuts.find(text)
  if (cut !== null) return text.length === cut.kept + cut.mark.length ? cut.decoded : null
  const padding = text.indexOf('=')
  if (padding >= 0 && !/^={1,2}[ \t\r\n]*$/.test(text.slice(padding))) return null
  // The one space that `atob` skips and others do not.
  if (text.includes('\f')) return null
  try {
    return Buffer.from(atob(text), 'latin1')
  } catch {
    return null
  }
}

/** The bytes of a base64 `data:` URL, whatever type it states; null for another URL, and where decoders may disagree. */
export function dataUrlBytes(url: string, cuts: CutTexts = NO_CUTS): Buffer | null {
  const text = dataUrlText(url)
  return text === null ? null : decodeBase64(text, cuts)
}

/** At least the number of bytes in a base64 text. */
export function base64Bytes(data: string, cuts: CutTexts = NO_CUTS): number {
  const cut = cuts.find(data)
  const length = cut === null ? data.length : data.length - cut.mark.length + cut.rest.length
  return Math.ceil((length * 3) / 4)
}

/** The base64 text of a `data:` URL; null for any other address. */
export function dataUrlText(url: string): string | null {
  const comma = url.indexOf(',')
  if (comma < 0 || comma > 256 || !/^data:[^,]*;base64$/i.test(url.slice(0, comma))) return null
  return url.slice(comma + 1)
}
