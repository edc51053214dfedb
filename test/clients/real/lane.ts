/**
 * A place where scenes are played one after the other: a scripted provider, the product before it, a relay before the product, all on
 * the store that lanes share. Each scene has an organization of its own, so that its books are its own.
 */
import { deepEqual, ok } from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { createKey } from '../../../src/billing/create-key.ts'
import { createOrganization } from '../../../src/billing/create-organization.ts'
import type { Database } from '../../../src/db/connect.ts'
import { type CallRow, rowsOf } from '../../support/call-books.ts'
import { configFor, type ModelEntry, startTollgate } from '../../support/tollgate.ts'
import { startUpstream } from '../../support/upstream.ts'
import type { Handler } from '../../support/upstream-answers.ts'
import { dialectAt } from './dialect-answers.ts'
import { type Exchange, startRelay } from './relay.ts'
import { scriptedModel } from './scripted-model.ts'

/** What clients ask for, by who serves it. All cost $1 a million tokens in and $10 out. */
export const MODELS = {
  claude: 'claude-sonnet-4-5',
  gpt: 'gpt-5.1-codex',
  gemini: 'gemini-2.5-pro',
  groq: 'llama-groq',
  local: 'local-model',
  embedding: 'text-embedding-3-small',
} as const

/** 1 000 tokens in and 20 out are $0.0012, and half of it on top. */
export const CHARGE = '1.800000'
export const EMBEDDING_CHARGE = '1.500000'

export interface Stand {
  /** What a client is told instead of its provider's address: no /v1. */
  url: string
  /** Of a user with credits; one without; one whose budget is used up; one that may call no model but `local`; one that nobody knows. */
  keys: { rich: string; poor: string; spent: string; bound: string; unknown: string }
  /** A key of a user who has so many credits and nothing else. */
  keyWith(credits: string): Promise<string>
  /** Empty, of this scene alone: a home for the client, or the folder it works in. */
  folder: string
  /** What clients asked and were answered, in order. */
  exchanges: readonly Exchange[]
  /** Calls that reached the provider: what is metered. */
  upstreamCalls(): number
  script(handler: Handler): void
  /** The rows of the scene's calls, once nothing of it is held any more. */
  books(): Promise<readonly CallRow[]>
}

export interface Lane {
  stand(): Promise<Stand>
  close(): Promise<void>
}

export async function openLane(store: { url: string; database: Database }, home: string): Promise<Lane> {
  const upstream = await startUpstream(scriptedModel())
  const models = modelsOn(upstream.url)
  const config = configFor(upstream.url, { models, router_settings: { num_retries: 0 } })
  const tollgate = await startTollgate({ databaseUrl: store.url, config })
  const relay = await startRelay(tollgate.url)
  return {
    async stand() {
      upstream.requests.length = 0
      upstream.respond(scriptedModel())
      relay.exchanges.length = 0
      const name = `scene-${randomUUID()}`
      const { id } = await createOrganization(store.database, {
        name,
        plan: 'platform',
        credits: 100_000n * 1_000_000n,
      })
      const keyOf = async (user: string, credits: string) => {
        const allocate = BigInt(Math.round(Number(credits) * 1_000_000))
        return createKey(store.database, { organization: name, user, allocate, role: null, name: null })
      }
      const bound = await keyOf('bound', '1000')
      await store.database.pool.query('update tollgate.api_keys set models = $2 where id = $1', [
        bound.id,
        [MODELS.local],
      ])
      const spent = await keyOf('spent', '1000')
      await store.database.pool.query(
        `insert into tollgate.ledger_limits (kind, id, window_start, limit_amount) values ('key', $1, tollgate.ledger_all_time(), 0.001)`,
        [spent.id],
      )
      const folder = await mkdtemp(join(home, 'scene-'))
      await mkdir(join(folder, 'home'))
      return {
        url: relay.url,
        keys: {
          rich: (await keyOf('rich', '10000')).key,
          poor: (await keyOf('poor', '0')).key,
          spent: spent.key,
          bound: bound.key,
          unknown: `uc_${'0'.repeat(48)}`,
        },
        keyWith: async (credits) => (await keyOf(`with-${credits}`, credits)).key,
        folder,
        exchanges: relay.exchanges,
        upstreamCalls: () => upstream.requests.filter(({ path }) => isMetered(path)).length,
        script: (handler) => upstream.respond(handler),
        books: () => settledRows(store.database, id),
      }
    },
    async close() {
      await relay.close()
      await tollgate.stop()
      await upstream.close()
    },
  }
}

/** A request that has to be paid for. */
export function isMetered(path: string): boolean {
  return dialectAt(path) !== null && !/count_?tokens/i.test(path)
}

/** A call that ended is on the books before its client hears of it; one whose client left is a moment later. */
async function settledRows({ pool }: Database, orgId: string): Promise<readonly CallRow[]> {
  for (let tries = 0; tries < 250; tries += 1) {
    const { rows } = await pool.query<{ held: string }>(
      `select (select coalesce(sum(held_credits), 0) from user_credit_allocations where org_id = $1) as held`,
      [orgId],
    )
    if (Number(rows[0]?.held) === 0) break
    await pause(40)
  }
  const { rows } = await pool.query<{ used: string; held: string }>(
    `select coalesce(sum(used_credits), 0)::text as used, coalesce(sum(held_credits), 0)::text as held
      from user_credit_allocations where org_id = $1`,
    [orgId],
  )
  const booked = await rowsOf(pool, orgId)
  const total = booked.reduce((sum, { credits_used }) => sum + BigInt(credits_used.replace('.', '')), 0n)
  deepEqual(
    { used: BigInt((rows[0]?.used ?? '').replace('.', '')), held: Number(rows[0]?.held) },
    { used: total, held: 0 },
    'what users spent is what their rows add up to, and nothing is held',
  )
  ok(new Set(booked.map(({ call_id }) => call_id)).size === booked.length, 'no call has two rows')
  return booked
}

function modelsOn(upstreamUrl: string): ModelEntry[] {
  const { origin } = new URL(upstreamUrl)
  const entry = (name: string, model: string, base: string, endpoints?: string[]): ModelEntry => ({
    model_name: name,
    litellm_params: {
      model,
      api_base: `${origin}${base}`,
      api_key: 'os.environ/SCRIPTED_API_KEY',
      input_cost_per_token: 0.000001,
      output_cost_per_token: 0.00001,
    },
    model_info: { id: `${name}-scripted`, ...(endpoints === undefined ? {} : { supported_endpoints: endpoints }) },
  })
  return [
    entry(MODELS.claude, 'anthropic/claude-sonnet-4-5', '/claude/v1', ['/v1/messages']),
    entry('claude-haiku-4-5', 'anthropic/claude-haiku-4-5', '/claude/v1', ['/v1/messages']),
    entry(MODELS.gpt, 'openai/gpt-5.1-codex', '/openai/v1', ['/v1/responses', '/v1/chat/completions']),
    entry(MODELS.gemini, 'gemini/gemini-2.5-pro', '/google/v1beta'),
    entry(MODELS.groq, 'groq/openai/gpt-oss-120b', '/groq/v1'),
    entry(MODELS.local, 'openai/llama-3.1-8b', '/local/v1'),
    entry(MODELS.embedding, 'openai/text-embedding-3-small', '/openai/v1'),
  ]
}
