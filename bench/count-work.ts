/**
 * Loaded into the proxy before the product (`--import`): counts its statements to PostgreSQL and its cryptographic operations, by who
 * asked for them. SIGUSR2 writes the counts to the file that BENCH_COUNTS names, and begins at zero again.
 */
import crypto from 'node:crypto'
import { renameSync, writeFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import pg from 'pg'

export interface Work {
  /** By the folder of src/ that asked: `identity createHash`. What asked from a library, without a frame of ours: `elsewhere`. */
  crypto: Record<string, number>
  /** Statements that read who somebody is, and all. */
  callers: number
  statements: number
}

const NAMES = [
  ...['createHash', 'hash', 'createHmac', 'timingSafeEqual', 'createSign', 'sign', 'createVerify', 'verify'],
  ...['createCipheriv', 'createDecipheriv', 'pbkdf2', 'pbkdf2Sync', 'scrypt', 'scryptSync', 'hkdf', 'hkdfSync'],
  ...['randomBytes', 'randomFillSync', 'randomUUID', 'publicDecrypt', 'privateDecrypt', 'diffieHellman'],
]
const SUBTLE = ['digest', 'sign', 'verify', 'encrypt', 'decrypt', 'importKey', 'deriveBits'] as const
/** What findKeys, findStanding, findMemberships and the store of sessions read. */
const OF_CALLERS = /tollgate\.api_keys|organization_members|tollgate\.sessions|"api_keys"/

let work: Work = none()

function none(): Work {
  return { crypto: {}, callers: 0, statements: 0 }
}

type Method = (this: unknown, ...args: unknown[]) => unknown

function counted(place: Record<string, Method>, name: string): void {
  const original = place[name]
  if (typeof original !== 'function') return
  place[name] = function count(...args) {
    const who = /\/src\/([\w-]+)\//.exec(new Error().stack?.replaceAll(/.*\/bench\/.*/g, '') ?? '')?.[1] ?? 'elsewhere'
    const what = `${who} ${name}`
    work.crypto[what] = (work.crypto[what] ?? 0) + 1
    return original.apply(this, args)
  }
}

for (const name of NAMES) counted(crypto as unknown as Record<string, Method>, name)
for (const name of SUBTLE) counted(crypto.webcrypto.subtle as unknown as Record<string, Method>, name)
syncBuiltinESMExports()

const clients = pg.Client.prototype as unknown as Record<string, Method>
const query = clients.query as Method
clients.query = function count(...args) {
  const [first] = args
  const text = typeof first === 'string' ? first : String((first as { text?: unknown }).text ?? '')
  work.statements += 1
  if (OF_CALLERS.test(text)) work.callers += 1
  return query.apply(this, args)
}

process.on('SIGUSR2', () => {
  const file = process.env.BENCH_COUNTS ?? '/dev/null'
  // Whole at once, for who waits for it.
  writeFileSync(`${file}.part`, JSON.stringify(work))
  renameSync(`${file}.part`, file)
  work = none()
})
