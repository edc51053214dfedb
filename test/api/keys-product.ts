/** The product with a vault, for one test file, and its management routes as a client uses them. */
import { randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeAll } from 'vitest'
import { expectNothingHeld } from '../support/call-books.ts'
import { useDatabase } from '../support/database.ts'
import type { Product } from '../support/product.ts'
import {
  type CallAnswer,
  configFor,
  type ExtraConfig,
  MASTER_KEY,
  type ModelEntry,
  startTollgate,
  type Tollgate,
} from '../support/tollgate.ts'
import { type ScriptedUpstream, startUpstream } from '../support/upstream.ts'

export const ROOT_KEY = randomBytes(32).toString('base64')

export interface KeysProduct extends Product {
  /** With the master key unless another is named; null sends none. */
  send(method: string, path: string, body?: unknown, key?: string | null): Promise<CallAnswer>
}

/** As useProduct, with a root key; stored keys are gone after each test. */
export function useKeysProduct(
  extra: (upstreamUrl: string) => ExtraConfig = () => ({}),
  env: Record<string, string> = {},
): KeysProduct {
  const db = useDatabase()
  let upstream: ScriptedUpstream | undefined
  let tollgate: Tollgate | undefined

  beforeAll(async () => {
    upstream = await startUpstream()
    const config = configFor(upstream.url, extra(upstream.url))
    tollgate = await startTollgate({ databaseUrl: db.url, config, env: { TOLLGATE_ROOT_KEY: ROOT_KEY, ...env } })
  })
  afterEach(async () => {
    await expectNothingHeld(db.pool)
    await db.pool.query(
      'delete from platform_settings; delete from user_provider_keys; delete from tollgate.organization_provider_keys',
    )
  })
  afterAll(async () => {
    await tollgate?.stop()
    await upstream?.close()
  })

  return {
    db,
    get upstream() {
      return present(upstream)
    },
    get tollgate() {
      return present(tollgate)
    },
    send: (method, path, body, key) => send(present(tollgate), method, path, body, key),
  }
}

export async function send(
  tollgate: Pick<Tollgate, 'url'>,
  method: string,
  path: string,
  body?: unknown,
  key: string | null = MASTER_KEY,
): Promise<CallAnswer> {
  const answer = await fetch(`${tollgate.url}${path}`, {
    method,
    headers: {
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await answer.text()
  return { status: answer.status, headers: answer.headers, body: text, json: () => JSON.parse(text) }
}

/** A model without an `api_key` of its own. On loopback it may be sent what is stored for its provider. */
export function keyless(name: string, model: string, url: string, params: Record<string, unknown> = {}): ModelEntry {
  return {
    model_name: name,
    litellm_params: { model, api_base: url, ...params },
    model_info: { id: `${name}-keyless` },
  }
}

/** Of the right form for each provider, by the name the routes call it. */
const GOOD_KEYS: Readonly<Record<string, string>> = {
  openrouter: `sk-or-v1-${'0123456789abcdef'.repeat(3)}`,
  openai: `sk-proj-${'Ab3dEf6hIj'.repeat(5)}`,
  anthropic: `sk-ant-api03-${'Zy9xWv8u'.repeat(6)}`,
  huggingface: `hf_${'QwErTyUiOp'.repeat(4)}`,
  groq: `gsk_${'m1N2b3V4'.repeat(7)}`,
  xai: `xai-${'pL0oK9iJ'.repeat(6)}`,
  google: `AIza${'SyD4f5G6h'.repeat(4)}`,
}

export const SEVEN_NAMES = Object.keys(GOOD_KEYS)

export function goodKey(name: string): string {
  const key = GOOD_KEYS[name]
  if (key === undefined) throw new Error(`no key for ${name}`)
  return key
}

function present<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error('the product runs only while tests and hooks run')
  return value
}
