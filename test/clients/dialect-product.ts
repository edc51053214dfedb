/** The product with a deployment of each of the five dialects, and what its books must say of the calls of one. */
import { expect, vi } from 'vitest'
import { type CallRow, rowsOf } from '../support/call-books.ts'
import { type Dialect, dialectModels, speakDialects } from '../support/dialects.ts'
import { type Product, useProduct } from '../support/product.ts'
import type { Handler } from '../support/upstream-answers.ts'

export interface Payer {
  /** What a client is told instead of its provider's address and key. */
  baseURL: string
  apiKey: string
  /** The organization that pays. */
  orgId: string
}

export interface DialectProduct extends Product {
  /** An organization of its own for a test; the upstream speaks the five dialects, unless it is told something else. */
  payer(options?: { allocated?: number | string; upstream?: Handler }): Promise<Payer>
  /** The books hold these calls of the payer and nothing else, oldest first, each with its charge and usage. */
  expectBooked(payer: Payer, dialect: Dialect, endings: readonly Ending[]): Promise<void>
}

/** `cut`: a stream that failed in the middle. */
export type Ending = 'answered' | 'failed' | 'cut'

/** Call it at the top of a test file. The product itself tries nothing again: what is, is the client's doing. */
export function useDialects(): DialectProduct {
  const product = useProduct((upstreamUrl) => ({
    models: dialectModels(upstreamUrl),
    router_settings: { num_retries: 0 },
  }))
  return {
    get db() {
      return product.db
    },
    get upstream() {
      return product.upstream
    },
    get tollgate() {
      return product.tollgate
    },
    async payer({ allocated = 500, upstream = speakDialects } = {}) {
      product.upstream.respond(upstream)
      const { id, keys } = await product.db.seedOrganization({ credits: 1_000, users: { alice: allocated } })
      return { baseURL: `${product.tollgate.url}/v1`, apiKey: keys.alice, orgId: id }
    },
    expectBooked: ({ orgId }, dialect, endings) =>
      // A settlement that took longer than its answer waited is still on its way.
      vi.waitFor(
        async () => {
          const booked = (await rowsOf(product.db.pool, orgId)).map(asBooked)
          expect(booked, 'the books').toEqual(endings.map((ending) => bookedAs(dialect, ending)))
        },
        { timeout: 20_000, interval: 20 },
      ),
  }
}

const NO_TOKENS = { prompt: null, completion: null, cached: null, reasoning: null }

function bookedAs({ charge, provenance, usage, cutCharge, cutUsage }: Dialect, ending: Ending) {
  if (ending === 'failed') return { outcome: 'failed', charge: '0.000000', provenance: null, ...NO_TOKENS }
  if (ending === 'answered') return { outcome: 'answered', charge, provenance, ...usage }
  return { outcome: 'cut_off', charge: cutCharge, provenance: 'estimated', cached: 0, reasoning: 0, ...cutUsage }
}

function asBooked({ credits_used, provenance, outcome, details }: CallRow) {
  return { outcome, charge: credits_used, provenance, ...tokensOf(details.usage) }
}

/** In OpenAI's shape, as the books keep it. */
function tokensOf(usage: unknown): Dialect['usage'] | typeof NO_TOKENS {
  if (usage === undefined) return NO_TOKENS
  const { prompt_tokens, completion_tokens, prompt_tokens_details, completion_tokens_details } = usage as {
    prompt_tokens: number
    completion_tokens: number
    prompt_tokens_details: { cached_tokens: number }
    completion_tokens_details: { reasoning_tokens: number }
  }
  return {
    prompt: prompt_tokens,
    completion: completion_tokens,
    cached: prompt_tokens_details.cached_tokens,
    reasoning: completion_tokens_details.reasoning_tokens,
  }
}
