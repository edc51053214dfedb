/** What this program knows of the schema: the files of sql/. */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'

export const SQL_FOLDER = new URL('../../sql/', import.meta.url)

export interface Migration {
  id: number
  name: string
  /** An older program can't work with a schema that has it. Stated by the file's first line: `-- breaking`. */
  breaking: boolean
  sql: string
}

export interface FunctionFile {
  /** `audit.sql` */
  name: string
  /** SHA-256 of its text, in hex. */
  hash: string
  sql: string
}

/** Every body that can be replaced while calls run. sql/functions/set.json has the number, the hash and the order of the files. */
export interface FunctionSet {
  /** Of two sets the one with the larger number is the newer. */
  number: number
  /** As it stands in set.json. The program does not compare it with the files; a test does. */
  hash: string
  /** In the order in which they are applied: what a body names must be there before it. */
  files: FunctionFile[]
}

export interface SchemaFiles {
  migrations: Migration[]
  functions: FunctionSet
  /** The version of the program they belong to. */
  program: string
}

/** @param folder ends with a slash. */
export async function readSchemaFiles(folder = SQL_FOLDER): Promise<SchemaFiles> {
  const [migrations, functions, text] = await Promise.all([
    readMigrations(new URL('migrations/', folder)),
    readFunctions(new URL('functions/', folder)),
    readFile(new URL('../package.json', folder), 'utf8'),
  ])
  const { version }: { version: string } = JSON.parse(text)
  return { migrations, functions, program: version }
}

/** `000002-billing` */
export function migrationLabel({ id, name }: { id: number; name: string }): string {
  return `${String(id).padStart(6, '0')}-${name}`
}

/** What set.json's `hash` must be for these files. */
export function hashOfSet(files: readonly FunctionFile[]): string {
  return sha256(files.map(({ name, hash }) => `${name} ${hash}\n`).join(''))
}

/** Bare names, in lower case, of the functions, procedures and triggers that a text creates. */
export function createdNames(sql: string): string[] {
  const found = sql.matchAll(/^\s*create\s+(?:or\s+replace\s+)?(?:function|procedure|trigger)\s+(?:\w+\.)?(\w+)\b/gim)
  return [...new Set([...found].map(([, name = '']) => name.toLowerCase()))]
}

async function readMigrations(folder: URL): Promise<Migration[]> {
  const names = (await readdir(folder)).filter((name) => /^\d{6}-.*\.sql$/.test(name)).sort()
  return Promise.all(
    names.map(async (name) => {
      const sql = await readFile(new URL(name, folder), 'utf8')
      return { id: Number(name.slice(0, 6)), name: name.slice(7, -4), breaking: sql.startsWith('-- breaking'), sql }
    }),
  )
}

async function readFunctions(folder: URL): Promise<FunctionSet> {
  const set: { number: number; hash: string; files: string[] } = JSON.parse(
    await readFile(new URL('set.json', folder), 'utf8'),
  )
  const files = await Promise.all(
    set.files.map(async (name) => {
      const sql = await readFile(new URL(name, folder), 'utf8')
      return { name, hash: sha256(sql), sql }
    }),
  )
  return { number: set.number, hash: set.hash, files }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
