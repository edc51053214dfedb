/** Deployments that LiteLLM keeps in its database, as entries of a `model_list`, with their keys opened. */
import type { Notes } from './notes.ts'
import { openSecret } from './open-secret.ts'
import type { Source, SourceRow } from './source.ts'
import { type Members, membersIn, textIn } from './values.ts'

export interface Deployment {
  model_name: string
  litellm_params: Members
  model_info: Members
}

/** @param saltKey null: nobody knows it, and all are left. */
export async function readDeployments(
  source: Source,
  saltKey: string | null,
  notes: Notes,
): Promise<{ there: number; deployments: Deployment[] }> {
  const rows = await source.rows('ProxyModelTable')
  const credentials = new Map(
    (await source.rows('CredentialsTable')).map((row) => [textIn(row, 'credential_name'), row]),
  )
  const deployments = rows.flatMap((row) => read(row, { saltKey, credentials, notes }))
  return { there: rows.length, deployments }
}

interface ReadOptions {
  saltKey: string | null
  credentials: ReadonlyMap<string | null, SourceRow>
  notes: Notes
}

function read(row: SourceRow, { saltKey, credentials, notes }: ReadOptions): Deployment[] {
  const name = textIn(row, 'model_name') ?? ''
  const shown = `${name} ${textIn(row, 'model_id') ?? ''}`
  const leave = (says: string) => {
    notes.left('deployments', shown, says)
    return []
  }
  if (saltKey === null) return leave('It is sealed: state LITELLM_SALT_KEY (or LITELLM_MASTER_KEY) in the environment.')
  const params = opened(membersIn(row, 'litellm_params'), saltKey)
  if (params === null) return leave('It is sealed under another key than LITELLM_SALT_KEY.')
  if (row.blocked === true) return leave('It is blocked there.')
  const { litellm_credential_name: credential, ...own } = params
  if (typeof credential !== 'string') return [entry(name, own, row)]
  const values = credentials.get(credential)
  const shared = values === undefined ? null : opened(membersIn(values, 'credential_values'), saltKey)
  if (shared === null) return leave(`Its credential ${credential} is not there, or sealed under another key.`)
  return [entry(name, { ...shared, ...own }, row)]
}

function entry(name: string, params: Members, row: SourceRow): Deployment {
  const { db_model: _, ...info } = membersIn(row, 'model_info')
  return { model_name: name, litellm_params: params, model_info: { ...info, id: textIn(row, 'model_id') } }
}

/** Only texts are sealed. Null where one does not open. */
function opened(members: Members, saltKey: string): Members | null {
  const entries: [string, unknown][] = []
  for (const [name, value] of Object.entries(members)) {
    const text = typeof value === 'string' ? openSecret(value, saltKey) : value
    if (text === null && value !== null) return null
    if (text !== null) entries.push([name, text])
  }
  return Object.fromEntries(entries)
}
