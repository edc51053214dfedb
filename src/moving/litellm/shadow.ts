/** Prices LiteLLM's log of spending as calls are priced here. Asks nobody, reads some rows at a time, writes nothing. */
import { LRUCache } from 'lru-cache'
import { type Judged, judgeRow, type Reason } from './judge-row.ts'
import type { FindLogPrice } from './log-prices.ts'
import type { Source, SourceRow } from './source.ts'
import { membersIn, numberIn, textIn } from './values.ts'

export interface Tally {
  calls: number
  /** Microcredits. */
  booked: bigint
  due: bigint
}

export interface ShadowRow extends Tally {
  /** The hash of the key; empty for the master key's calls. */
  key: string
  alias: string | null
  model: string
  /** Of those calls that were compared and of those that were not. */
  reasons: Map<Reason, Tally>
}

export interface Shadow {
  source: string
  rows: ShadowRow[]
}

interface ShadowOptions {
  source: Source
  findPrice: FindLogPrice
  /** ISO 8601 without a zone, of UTC; null: no bound. */
  from: string | null
  until: string | null
}

const COLUMNS = [
  ...['request_id', 'call_type', 'api_key', 'spend', 'prompt_tokens', 'completion_tokens', 'startTime', 'endTime'],
  ...['model', 'model_id', 'model_group', 'custom_llm_provider', 'metadata', 'cache_hit', 'status', 'litellm_call_id'],
]
/** Two rows of one call are written within minutes. */
const REMEMBERED = 200_000

export async function readShadow({ source, findPrice, from, until }: ShadowOptions): Promise<Shadow> {
  const aliases = new Map(
    (await source.rows('VerificationToken')).map((row) => [textIn(row, 'token'), textIn(row, 'key_alias')]),
  )
  const rows = new Map<string, ShadowRow>()
  const isDouble = createDoubles()
  const asked = { from, until, at: 'startTime', order: ['startTime', 'request_id'] }
  for await (const page of source.pages('SpendLogs', COLUMNS, asked))
    for (const row of page) {
      const key = textIn(row, 'api_key') ?? ''
      const model = textIn(row, 'model_group') ?? textIn(row, 'model') ?? ''
      const name = JSON.stringify([key, model])
      const alias = aliases.get(key) ?? textIn(membersIn(row, 'metadata'), 'user_api_key_alias')
      const group = rows.get(name) ?? { key, alias, model, calls: 0, booked: 0n, due: 0n, reasons: new Map() }
      rows.set(name, group)
      add(group, judgeRow(row, isDouble(row), findPrice))
    }
  const apart = ({ booked, due }: Tally) => (booked > due ? booked - due : due - booked)
  const sorted = [...rows.values()].sort((a, b) => (apart(a) === apart(b) ? 0 : apart(a) < apart(b) ? 1 : -1))
  return { source: source.name, rows: sorted }
}

/** What could not be compared counts as due as it was booked: it makes no difference. */
function add(group: ShadowRow, { reason, due, booked }: Judged): void {
  const tally = group.reasons.get(reason) ?? { calls: 0, booked: 0n, due: 0n }
  group.reasons.set(reason, tally)
  for (const one of [group, tally]) {
    one.calls += 1
    one.booked += booked
    one.due += due ?? booked
  }
}

/** By the id of the call, else by all that two calls can't have in common. A retry that is billed is a call of its own. */
function createDoubles(): (row: SourceRow) => boolean {
  const seen = new LRUCache<string, true>({ max: REMEMBERED })
  return (row) => {
    const metadata = membersIn(row, 'metadata')
    if (metadata.billed_retry_attempt === true) return false
    const call = textIn(row, 'litellm_call_id') ?? textIn(metadata, 'litellm_call_id')
    const tokens = [numberIn(row, 'prompt_tokens'), numberIn(row, 'completion_tokens')]
    const print = ['api_key', 'model', 'startTime', 'endTime'].map((name) => textIn(row, name))
    const names = [
      ...(call === null ? [] : [`call ${call}`]),
      ...(tokens.some((count) => count !== null && count > 0) ? [JSON.stringify([print, tokens])] : []),
    ]
    const isKnown = names.some((name) => seen.has(name))
    for (const name of names) seen.set(name, true)
    return isKnown
  }
}
