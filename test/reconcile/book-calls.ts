/** Calls whose cost at a provider is certain, and some of each kind whose is not. */
import { randomUUID } from 'node:crypto'
import { hold } from '../support/books.ts'
import type { TestDatabase } from '../support/database.ts'

interface Call {
  name: string
  at: string
  provider?: string
  model?: string
  dollars: string
  provenance?: string
  outcome?: string
  details?: Record<string, unknown>
}

/** A call that ended at an instant, booked as the proxy books it. */
async function book(db: TestDatabase, orgId: string, call: Call): Promise<string> {
  const {
    at,
    provider = 'openai',
    model = 'gpt-x-2026-01-01',
    dollars,
    provenance = 'provider_usage',
    outcome = 'answered',
  } = call
  const recovered = outcome === 'recovered'
  await db.setNow(at)
  const callId = recovered ? (await hold(db.pool, orgId, { output: 500 })).callId : randomUUID()
  const served = {
    provider,
    served_model: model,
    upstream_model: 'gpt-x',
    deployment: `${provider}-1`,
    held: '100',
    duration_ms: 1_000,
  }
  const details = recovered ? { model: 'gpt-x', deployment: 'gpt-x-dep' } : { ...served, ...call.details }
  await db.pool.query('select tollgate.ledger_close_batch($1)', [
    JSON.stringify([
      {
        ...{
          call_id: callId,
          state: recovered ? 'recovered' : 'settled',
          org_id: orgId,
          user_id: 'alice',
          source: 'proxy',
        },
        ...{ service_type: 'llm_inference', service_name: 'gpt-x', provenance, outcome, details },
        ...{ charge: Number(dollars) * 1_000, api_cost: dollars, markup: 0 },
      },
    ]),
  ])
  return callId
}

const CALLS: readonly Call[] = [
  { name: 'plain', at: '2026-11-10T12:00:00Z', dollars: '1.5' },
  { name: 'callers', at: '2026-11-10T12:00:00Z', dollars: '0', details: { byok: true } },
  { name: 'disputed', at: '2026-11-10T13:00:00Z', model: 'gpt-d', dollars: '2', provenance: 'disputed' },
  {
    name: 'estimated',
    at: '2026-11-10T13:00:00Z',
    model: 'gpt-e',
    dollars: '0.04',
    provenance: 'estimated',
  },
  {
    name: 'left',
    at: '2026-11-10T13:00:00Z',
    model: 'gpt-l',
    dollars: '0.04',
    provenance: 'estimated',
    outcome: 'client_disconnected',
  },
  {
    name: 'unknown',
    at: '2026-11-10T13:00:00Z',
    model: 'gpt-u',
    dollars: '0',
    outcome: 'failed',
    details: { at_risk: { openai: '0.3' } },
  },
  {
    name: 'elsewhere',
    at: '2026-11-11T13:00:00Z',
    provider: 'anthropic',
    model: 'claude-z',
    dollars: '1',
    details: { at_risk: { openai: '0.2' } },
  },
  {
    name: 'recovered',
    at: '2026-11-10T14:00:00Z',
    dollars: '0.1',
    provenance: 'recovered',
    outcome: 'recovered',
  },
  { name: 'midnight', at: '2026-11-11T00:01:00Z', model: 'gpt-m', dollars: '0.7' },
  {
    name: 'long',
    at: '2026-11-11T00:50:00Z',
    model: 'gpt-m',
    dollars: '0.1',
    details: { duration_ms: 3_300_000 },
  },
  { name: 'plain2', at: '2026-11-11T12:00:00Z', model: 'gpt-p', dollars: '0.25' },
  { name: 'before', at: '2026-11-08T12:00:00Z', dollars: '99' },
  {
    name: 'claude',
    at: '2026-11-10T12:00:00Z',
    provider: 'anthropic',
    model: 'claude-y-20260101',
    dollars: '0.5',
    details: { tool_uses: { web_search: 2 } },
  },
  { name: 'router', at: '2026-11-10T12:00:00Z', provider: 'openrouter', model: 'vendor/m', dollars: '0.5' },
]

/** Returns the ids of the calls by name. */
export async function bookCalls(db: TestDatabase, orgId: string): Promise<Record<string, string>> {
  const ids: Record<string, string> = {}
  for (const call of CALLS) ids[call.name] = await book(db, orgId, call)
  return ids
}
