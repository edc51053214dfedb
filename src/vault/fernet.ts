/**
 * Reads Fernet tokens (version 0x80: AES-128-CBC, then HMAC-SHA256 over everything before it), which is how Ops-Center kept
 * provider keys. Only reads: a token is bound to no row, so what is stored from here on is sealed instead. Fails closed: the
 * MAC is checked before anything is decrypted, and every refusal looks the same.
 */
import { createDecipheriv, createHmac, timingSafeEqual } from 'node:crypto'
import { UnreadableKeyError } from './unreadable-key-error.ts'

const VERSION = 0x80
const IV_AT = 9
const BODY_AT = 25
const MAC_BYTES = 32
const BLOCK = 16

export interface FernetKey {
  signing: Buffer
  encryption: Buffer
}

export function isFernetToken(value: string): boolean {
  return value.startsWith('gAAAA')
}

/** Null where the text is not a key: 44 characters of url-safe base64, 32 bytes. */
export function readFernetKey(text: string): FernetKey | null {
  if (!/^[\w-]{43}=$/.test(text)) return null
  const bytes = Buffer.from(text, 'base64url')
  return { signing: bytes.subarray(0, 16), encryption: bytes.subarray(16) }
}

/** Tries the keys in turn. Age is not looked at: a stored key has none. @throws {UnreadableKeyError} */
export function openFernet(token: string, keys: readonly FernetKey[]): string {
  if (keys.length === 0) {
    throw new UnreadableKeyError(
      'no_fernet_key',
      'it is a Fernet token; set ENCRYPTION_KEY to the key it was made with, then run: tollgate keys import-fernet',
    )
  }
  const bytes = /^[\w-]+={0,2}$/.test(token) ? Buffer.from(token, 'base64url') : Buffer.alloc(0)
  const cipherBytes = bytes.length - BODY_AT - MAC_BYTES
  if (bytes[0] !== VERSION || cipherBytes < BLOCK || cipherBytes % BLOCK !== 0) throw refused()
  const signed = bytes.subarray(0, -MAC_BYTES)
  const key = keys.find(({ signing }) =>
    timingSafeEqual(createHmac('sha256', signing).update(signed).digest(), bytes.subarray(-MAC_BYTES)),
  )
  if (key === undefined) throw refused()
  try {
    const decipher = createDecipheriv('aes-128-cbc', key.encryption, bytes.subarray(IV_AT, BODY_AT))
    return Buffer.concat([decipher.update(signed.subarray(BODY_AT)), decipher.final()]).toString('utf8')
  } catch {
    throw refused()
  }
}

function refused(): UnreadableKeyError {
  return new UnreadableKeyError(
    'fernet_refused',
    'it is a Fernet token that was damaged or made with another key than ENCRYPTION_KEY',
  )
}
