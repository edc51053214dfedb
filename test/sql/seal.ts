/**
 * `npm run sql:seal`, after every change in sql/: raises the number of the function set where a text changed, and writes
 * sql/schema.sql anew. New files are put at the end of the order in functions/set.json; move them where what they name comes first.
 */
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openEmbeddedStore } from '../../src/db/embedded.ts'
import { migrate } from '../../src/db/migrate.ts'
import { hashOfSet, readSchemaFiles, SQL_FOLDER } from '../../src/db/schema-files.ts'
import { dumpSchema } from './dump-schema.ts'

const FUNCTIONS = new URL('functions/', SQL_FOLDER)

async function sealSet(): Promise<string> {
  const set: { number: number; hash: string; files: string[] } = JSON.parse(
    await readFile(new URL('set.json', FUNCTIONS), 'utf8'),
  )
  const present = (await readdir(FUNCTIONS)).filter((name) => name.endsWith('.sql')).sort()
  const added = present.filter((name) => !set.files.includes(name))
  const files = [...set.files.filter((name) => present.includes(name)), ...added]
  await writeSet(set.number, set.hash, files)
  const hash = hashOfSet((await readSchemaFiles()).functions.files)
  if (hash === set.hash) return `The function set is ${set.number} still.`
  await writeSet(set.number + 1, hash, files)
  return `The function set is ${set.number + 1} now.`
}

function writeSet(number: number, hash: string, files: string[]): Promise<void> {
  return writeFile(new URL('set.json', FUNCTIONS), `${JSON.stringify({ number, hash, files }, null, 2)}\n`)
}

async function writeSchema(): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tollgate-seal-'))
  // Under root the server runs as another user, who has to get through.
  await chmod(dataDir, 0o711)
  try {
    const store = await openEmbeddedStore(dataDir)
    try {
      await migrate(store.url)
      await writeFile(new URL('schema.sql', SQL_FOLDER), await dumpSchema(store.url))
    } finally {
      await store.close()
    }
  } finally {
    await rm(dataDir, { recursive: true, force: true })
  }
}

console.log(await sealSet())
await writeSchema()
console.log('sql/schema.sql is written.')
