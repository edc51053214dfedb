/**
 * Writes the schema of a database as SQL to be read, from the catalogue: the binaries npm brings have no pg_dump. First the schema
 * public, which is the contract, then tollgate; of a table its columns, constraints, indexes and triggers together. What it has no
 * words for makes it fail.
 */
import pg from 'pg'
import {
  COMMENTS,
  FUNCTIONS,
  GRANTS,
  INDEXES,
  SCHEMAS,
  SEQUENCES,
  TABLES,
  TRIGGERS,
  TYPES,
  UNKNOWN,
  VIEWS,
} from './dump-queries.ts'

const HEAD = `-- The whole schema, to be read: not to be run, and not to be edited. Written from the catalogue by \`npm run sql:seal\`; what makes
-- it is in migrations/ and functions/.
`

/** One statement, and where it belongs. */
interface Item {
  schema: string
  /** `schema`, `type`, `table`, `view`, `function` */
  section: string
  /** What it is part of: the index of a table is part of the table. */
  object: string
  /** Its place among the parts of the object. */
  part: number
  text: string
}

const SECTIONS = ['schema', 'type', 'sequence', 'table', 'view', 'function']

export async function dumpSchema(url: string): Promise<string> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    // Every name that is not PostgreSQL's own is then written with its schema.
    await client.query('begin read only; set local search_path = pg_catalog')
    const unknown = await client.query<{ what: string }>(UNKNOWN)
    if (unknown.rows.length > 0) {
      throw new Error(`sql/schema.sql has no words for: ${unknown.rows.map(({ what }) => what).join(', ')}`)
    }
    const items: Item[] = []
    for (const sql of [SCHEMAS, TYPES, SEQUENCES, TABLES, INDEXES, TRIGGERS, VIEWS, FUNCTIONS, COMMENTS, GRANTS]) {
      items.push(...(await client.query<Item>(sql)).rows)
    }
    return HEAD + render(items)
  } finally {
    await client.end()
  }
}

/** An empty line before each object, a larger heading before each schema. */
function render(items: Item[]): string {
  let [schema, object, text] = ['', '', '']
  for (const item of items.sort(inOrder)) {
    if (item.schema !== schema) text += `\n\n-- ---------- schema ${item.schema} ----------\n`
    if (item.schema !== schema || item.section + item.object !== object) text += '\n'
    text += `${item.text.trimEnd().replace(/;?$/, ';')}\n`
    schema = item.schema
    object = item.section + item.object
  }
  return text
}

function inOrder(a: Item, b: Item): number {
  const order =
    rank(a.schema) - rank(b.schema) ||
    compare(a.schema, b.schema) ||
    SECTIONS.indexOf(a.section) - SECTIONS.indexOf(b.section)
  return order || compare(a.object, b.object) || a.part - b.part || compare(a.text, b.text)
}

function rank(schema: string): number {
  return schema === 'public' ? 0 : 1
}

/** By code unit: no locale decides. */
function compare(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
