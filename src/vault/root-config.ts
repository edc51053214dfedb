/**
 * Where a process has its root keys from: TOLLGATE_ROOT_KEY, TOLLGATE_ROOT_KEY_FILE, TOLLGATE_KMS_KEY_ARN, else, with
 * Tollgate's own store only, a file it makes in the data directory. Fails closed: no usable root key, no start.
 */
import { randomBytes } from 'node:crypto'
import { link, mkdir, open, readFile, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type FernetKey, readFernetKey } from './fernet.ts'
import { type RawRoot, type Root, RootKeyError, rawRoot, readKmsRoot, readRootKeys, rootWeakness } from './root-key.ts'

type Env = Readonly<Record<string, string | undefined>>

export interface RootConfig {
  /** At least one. The first seals where the database names none yet. */
  roots: readonly Root[]
  /** For tokens Ops-Center made. */
  fernetKeys: readonly FernetKey[]
  /** The file Tollgate made for its own store and may rewrite; null where the operator brings the key. */
  ownFile: string | null
  warnings: readonly string[]
}

/** @param embedded whether it is Tollgate's own store, a trial on one machine. @throws {RootKeyError} */
export async function readRootConfig(env: Env, place: { embedded: boolean; dataDir: string }): Promise<RootConfig> {
  const warnings: string[] = []
  const kms = env.TOLLGATE_KMS_KEY_ARN ? [readKmsRoot(env.TOLLGATE_KMS_KEY_ARN.trim(), 'TOLLGATE_KMS_KEY_ARN')] : []
  const given = await givenRoots(env)
  for (const root of given) {
    const weakness = rootWeakness(root)
    if (weakness === null) continue
    const message = `The root key ${weakness}, so provider keys would not be safe. Take 32 random bytes: openssl rand -base64 32`
    if (!place.embedded) throw new RootKeyError(message)
    warnings.push(`${message} (with a database of your own this stops the start)`)
  }
  const roots: Root[] = [...kms, ...given]
  const ownFile = roots.length === 0 && place.embedded ? join(place.dataDir, 'root-key') : null
  if (ownFile !== null) roots.push(...(await ownRoots(ownFile)))
  if (roots.length === 0) {
    throw new RootKeyError(
      'There is no root key to seal provider keys with. Set TOLLGATE_ROOT_KEY to 32 random bytes in base64 (openssl rand ' +
        '-base64 32) or TOLLGATE_ROOT_KEY_FILE to a file with them, the same on every instance, and keep it: without it ' +
        'stored provider keys are lost.',
    )
  }
  return { roots, fernetKeys: fernetKeys(env, warnings), ownFile, warnings }
}

async function givenRoots(env: Env): Promise<RawRoot[]> {
  const { TOLLGATE_ROOT_KEY: text, TOLLGATE_ROOT_KEY_FILE: file } = env
  if (text && file) throw new RootKeyError('Set TOLLGATE_ROOT_KEY or TOLLGATE_ROOT_KEY_FILE, not both.')
  if (text) return readRootKeys(text, 'TOLLGATE_ROOT_KEY')
  return file ? readRootFile(file, 'TOLLGATE_ROOT_KEY_FILE') : []
}

/** @throws {RootKeyError} */
export async function readRootFile(file: string, named: string): Promise<RawRoot[]> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    throw new RootKeyError(`${named} names ${file}, which can't be read (${(error as { code?: string }).code}).`)
  }
  return readRootKeys(text, file)
}

/** Two processes may start at once: the file appears in whole or not at all, and the first one counts. */
async function ownRoots(file: string): Promise<RawRoot[]> {
  const known = await readFile(file, 'utf8').catch((error: { code?: string }) => {
    if (error.code === 'ENOENT') return null
    throw new RootKeyError(`${file} can't be read (${error.code}).`)
  })
  if (known !== null) return readRootKeys(known, file)
  // As the store makes it: under root its server, another user, has to get through.
  await mkdir(dirname(file), { recursive: true, mode: process.getuid?.() === 0 ? 0o711 : 0o700 })
  const temporary = `${file}.${randomBytes(6).toString('hex')}.new`
  try {
    await writeSecret(temporary, rootKeyText([newRoot()]))
    await link(temporary, file).catch((error: { code?: string }) => {
      if (error.code !== 'EEXIST') throw error
    })
  } finally {
    await rm(temporary, { force: true })
  }
  return readRootKeys(await readFile(file, 'utf8'), file)
}

export function newRoot(): RawRoot {
  return rawRoot(randomBytes(32))
}

export function rootKeyText(roots: readonly RawRoot[]): string {
  return roots.map(({ bytes }) => `${bytes.toString('base64')}\n`).join('')
}

/** A new file that only its owner reads, on the disk when this resolves. @throws where there is one already. */
export async function writeSecret(file: string, text: string): Promise<void> {
  const handle = await open(file, 'wx', 0o600)
  try {
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Ops-Center kept platform keys under ENCRYPTION_KEY and users' keys under BYOK_ENCRYPTION_KEY, with each as the other's stand-in. */
function fernetKeys(env: Env, warnings: string[]): FernetKey[] {
  return ['ENCRYPTION_KEY', 'BYOK_ENCRYPTION_KEY'].flatMap((name) => {
    const text = env[name]?.trim()
    if (!text) return []
    const key = readFernetKey(text)
    if (key !== null) return [key]
    warnings.push(`${name} is no Fernet key (44 characters of url-safe base64); it is not used.`)
    return []
  })
}
