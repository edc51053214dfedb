/** Keys of callers: `uc_` and 64 hex digits, 256 random bits. Only the SHA-256 is stored, so a key is shown once. */
import { createHash, randomBytes } from 'node:crypto'

const FORM = /^uc_[0-9a-f]{64}$/

export interface NewKey {
  key: string
  hash: Buffer
  /** Enough to recognize the key, too little to use it. */
  preview: string
}

export function newApiKey(random: (bytes: number) => Buffer = randomBytes): NewKey {
  const key = `uc_${random(32).toString('hex')}`
  return { key, hash: hashKey(key), preview: `${key.slice(0, 7)}...${key.slice(-4)}` }
}

export function isApiKey(credential: string): boolean {
  return FORM.test(credential)
}

export function hashKey(key: string): Buffer {
  return createHash('sha256').update(key).digest()
}
