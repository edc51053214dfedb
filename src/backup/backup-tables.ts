/** The tables that are ours, in the order in which rows can be put back: one that others refer to comes before them. */
import type pg from 'pg'

export interface BackupTable {
  /** `tollgate.ledger_holds`: safe to write into a statement. */
  name: string
  /** Those that rows bring; what is generated is computed anew. Safe to write into a statement. */
  columns: string[]
  /** `{ column, sequence }` of an identity, which goes on where the rows end. */
  identity: { column: string; sequence: string } | null
}

/** In `public` other products may have tables too. */
export const PUBLIC_TABLES = [
  'credit_usage_attribution',
  'org_billing_history',
  'organization_credit_pools',
  'organization_members',
  'organization_subscriptions',
  'organizations',
  'platform_settings',
  'user_credit_allocations',
  'user_provider_keys',
] as const

/** Made by the migration itself: what the schema is, not what is in it. */
const OF_THE_SCHEMA = ['migrations', 'function_set']

interface Row extends BackupTable {
  refers_to: string[]
}

export async function listTables(client: pg.ClientBase): Promise<BackupTable[]> {
  const { rows } = await client.query<Row>(
    `select format('%I.%I', n.nspname, c.relname) as name,
      (select array_agg(quote_ident(a.attname) order by a.attnum) from pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '') as columns,
      (select jsonb_build_object('column', quote_ident(a.attname), 'sequence', pg_get_serial_sequence(format('%I.%I', n.nspname, c.relname), a.attname))
        from pg_attribute a where a.attrelid = c.oid and a.attidentity <> '' and not a.attisdropped) as identity,
      array(select distinct format('%I.%I', rn.nspname, r.relname) from pg_constraint f
        join pg_class r on r.oid = f.confrelid join pg_namespace rn on rn.oid = r.relnamespace
        where f.conrelid = c.oid and f.contype = 'f' and f.confrelid <> c.oid) as refers_to
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'r' and (n.nspname = 'tollgate' and c.relname <> all($1) or n.nspname = 'public' and c.relname = any($2))
    order by 1`,
    [OF_THE_SCHEMA, PUBLIC_TABLES],
  )
  return inOrder(rows)
}

function inOrder(rows: readonly Row[]): BackupTable[] {
  const ordered: BackupTable[] = []
  const placed = new Set<string>()
  let rest = [...rows]
  while (rest.length > 0) {
    const ready = rest.filter(({ refers_to }) => refers_to.every((other) => placed.has(other)))
    if (ready.length === 0) throw new Error(`tables refer to each other: ${rest.map(({ name }) => name).join(', ')}`)
    for (const { refers_to: _, ...table } of ready) {
      ordered.push(table)
      placed.add(table.name)
    }
    rest = rest.filter(({ name }) => !placed.has(name))
  }
  return ordered
}
