/**
 * Keys of callers: 256 random bits behind a prefix that says what they are. Only the SHA-256 is stored, so a key is shown once.
 * `uc_` is a user's, as Ops-Center made them; `sk-svc-` a service's; another `sk-` a virtual key in LiteLLM's form.
 */
import { createHash, randomBytes } from 'node:crypto'

/**
 * What may be in the database; anything else is nobody's without asking. Keys that were carried from LiteLLM are known by their hashes
 * alone, and whoever chose one chose its length and its letters.
 */
const FORM = /^(?:uc_[0-9a-f]{64}|sk-[!-~]{1,253})$/
const CHOSEN = /^sk-(?!svc-)[\w-]{20,253}$/

export type KeyPrefix = 'uc_' | 'sk-svc-'

export interface NewKey {
  key: string
  hash: Buffer
  /** Enough to recognize the key, too little to use it. */
  preview: string
}

export function newApiKey(prefix: KeyPrefix = 'uc_', random: (bytes: number) => Buffer = randomBytes): NewKey {
  const key = `${prefix}${random(32).toString('hex')}`
  const shown = prefix === 'uc_' ? 8 : prefix.length + 4
  return { key, hash: hashKey(key), preview: `${key.slice(0, shown)}...${key.slice(-4)}` }
}

export function isApiKey(credential: string): boolean {
  return FORM.test(credential)
}

/** Whether a virtual key that its maker chose is one to be made: nobody can guess it. */
export function mayBeChosen(key: string): boolean {
  return CHOSEN.test(key)
}

export function hashKey(key: string): Buffer {
  return createHash('sha256').update(key).digest()
}
