/**
 * The app that people open in a browser, as web/dist has it: read once, at the start. Where it was not built there is none, and the proxy
 * works all the same.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const BUILT = fileURLToPath(new URL('../../../web/dist/', import.meta.url))

/** A file, and what the build made of it; null where it did not: such a file is small. */
export interface AppFile {
  plain: Uint8Array
  brotli: Uint8Array | null
  gzip: Uint8Array | null
}

export interface AppFiles {
  /** The page itself. */
  page: Uint8Array
  /** By name. Each name holds a hash of what is in it. */
  assets: ReadonlyMap<string, AppFile>
}

export function isAppBuilt(): boolean {
  return existsSync(`${BUILT}assets`)
}

/** @returns null where it was not built. @throws what reading throws, for a build that is not whole. */
export function readAppFiles(folder = BUILT): AppFiles | null {
  const names = list(`${folder}assets`)
  if (names === null) return null
  const read = (name: string) => readFileSync(`${folder}assets/${name}`)
  const packed = (name: string) => (names.includes(name) ? read(name) : null)
  const plain = names.filter((name) => !name.endsWith('.br') && !name.endsWith('.gz'))
  const assets = plain.map((name): [string, AppFile] => [
    name,
    { plain: read(name), brotli: packed(`${name}.br`), gzip: packed(`${name}.gz`) },
  ])
  return { page: readFileSync(`${folder}index.html`), assets: new Map(assets) }
}

function list(folder: string): string[] | null {
  try {
    return readdirSync(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
