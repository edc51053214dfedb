/**
 * Values that LiteLLM sealed: NaCl's secret box in base64 under the SHA-256 of its salt key, or AES-256-GCM behind `v2:gcm:` under the same
 * key. Fails closed: what does not open is null, never a guess.
 */
import { createDecipheriv, createHash } from 'node:crypto'
import nacl from 'tweetnacl'

const GCM = 'v2:gcm:'
const GCM_NONCE = 12
const GCM_TAG = 16

export function openSecret(sealed: string, saltKey: string): string | null {
  const key = createHash('sha256').update(saltKey).digest()
  return sealed.startsWith(GCM) ? openGcm(bytesOf(sealed.slice(GCM.length)), key) : openBox(bytesOf(sealed), key)
}

/** Both alphabets of base64. */
function bytesOf(text: string): Buffer {
  return Buffer.from(text, 'base64url')
}

function openBox(sealed: Buffer, key: Buffer): string | null {
  const { nonceLength, overheadLength } = nacl.secretbox
  if (sealed.length < nonceLength + overheadLength) return null
  const opened = nacl.secretbox.open(sealed.subarray(nonceLength), sealed.subarray(0, nonceLength), key)
  return opened === null ? null : Buffer.from(opened).toString('utf8')
}

function openGcm(sealed: Buffer, key: Buffer): string | null {
  if (sealed.length < GCM_NONCE + GCM_TAG) return null
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, GCM_NONCE))
  decipher.setAuthTag(sealed.subarray(-GCM_TAG))
  try {
    return Buffer.concat([decipher.update(sealed.subarray(GCM_NONCE, -GCM_TAG)), decipher.final()]).toString('utf8')
  } catch {
    return null
  }
}
