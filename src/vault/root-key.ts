/**
 * Root keys: what seals every provider key. Fails closed: one that is missing, of the wrong length, or that somebody could
 * guess is refused with what to do, since everything sealed under it would be as open as the key.
 */
import { createHmac } from 'node:crypto'

export interface RawRoot {
  kind: 'raw'
  /** Tells root keys apart without telling anything of the key. Of one length: the SDK compares names by their beginning. */
  name: string
  bytes: Buffer
}

export interface KmsRoot {
  kind: 'kms'
  /** The key's ARN. */
  name: string
}

export type Root = RawRoot | KmsRoot

export class RootKeyError extends Error {}

const BYTES = 32
const LEAST_DISTINCT = 17
const HOW = 'Take 32 random bytes: openssl rand -base64 32'
/** Keys that stand in standards and handbooks; the plain patterns are found by what they are. */
const PUBLISHED = ['603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4']

export function rawRoot(bytes: Buffer): RawRoot {
  const name = createHmac('sha256', bytes).update('name of this tollgate root key').digest('hex').slice(0, 16)
  return { kind: 'raw', name, bytes }
}

/**
 * One key or several, apart by white space or commas: whichever of them is in use counts, which lets an operator hand out the
 * next one before it is taken into use. @param where how messages call the place. @throws {RootKeyError}
 */
export function readRootKeys(text: string, where: string): RawRoot[] {
  const words = text.split(/[\s,]+/).filter((word) => word !== '')
  if (words.length === 0) throw new RootKeyError(`${where} holds no root key. ${HOW}`)
  return words.map((word) => readRootKey(word, where))
}

function readRootKey(word: string, where: string): RawRoot {
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(word)) throw new RootKeyError(`The root key in ${where} is not base64. ${HOW}`)
  const bytes = Buffer.from(word, 'base64')
  if (bytes.length === BYTES) return rawRoot(bytes)
  const hex = /^[0-9a-f]{64}$/i.test(word) ? ' (hex is not taken, base64 is)' : ''
  throw new RootKeyError(
    `The root key in ${where} has ${bytes.length} bytes instead of ${BYTES}${hex}, or lost characters when it was copied. ${HOW}`,
  )
}

/** Why somebody could guess the key, as the end of "it ..."; null when nobody can. */
export function rootWeakness({ bytes }: RawRoot): string | null {
  if (PUBLISHED.includes(bytes.toString('hex'))) return 'is a published example'
  if (bytes.every((byte) => byte >= 0x20 && byte < 0x7f)) return 'is text, not random bytes'
  const steps = new Set(bytes.subarray(1).map((byte, at) => byte - (bytes[at] ?? 0)))
  if (new Set(bytes).size < LEAST_DISTINCT || steps.size < 8) return 'repeats a pattern'
  return null
}

/** A key's own ARN; an alias does not say which key a message was sealed under. @throws {RootKeyError} */
export function readKmsRoot(text: string, where: string): KmsRoot {
  if (/^arn:aws[\w-]*:kms:[a-z0-9-]+:\d{12}:key\/[\w-]+$/.test(text)) return { kind: 'kms', name: text }
  throw new RootKeyError(
    `${where} is not the ARN of a KMS key. It looks like arn:aws:kms:eu-central-1:123456789012:key/1234abcd-... (no alias).`,
  )
}
