/** The product in front of one provider whose dialect it translates, and what its books must say of the calls made through it. */
import { expect, vi } from 'vitest'
import { rowsOf } from '../support/call-books.ts'
import { type Product, useProduct } from '../support/product.ts'
import { modelOn } from '../support/tollgate.ts'
import type { Handler } from '../support/upstream-answers.ts'

/** Of every call that is answered: credits on the platform plan, and tokens in OpenAI's meaning. */
export interface Booked {
  charge: string
  prompt: number
  completion: number
  cached: number
  reasoning: number
}

export interface Payer {
  baseURL: string
  apiKey: string
  orgId: string
}

export interface TranslatedProduct extends Product {
  /** An organization of its own, as a client knows it. The upstream answers as said, and forgets what it was sent before. */
  payer(upstream: Handler): Promise<Payer>
  /** The books hold so many answered calls of the payer and nothing else. */
  expectBooked(payer: Payer, calls: number): Promise<void>
}

/** Call it at the top of a test file. `model` is the name clients ask for, and after its provider's the provider's own. */
export function useTranslated(provider: string, model: string, booked: Booked): TranslatedProduct {
  const product = useProduct((upstreamUrl) => ({
    models: [modelOn(upstreamUrl, model, { model: `${provider}/${model}` })],
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
    async payer(upstream) {
      product.upstream.respond(upstream)
      product.upstream.requests.length = 0
      const { id, keys } = await product.db.seedOrganization({ credits: 10_000, users: { alice: 10_000 } })
      return { baseURL: `${product.tollgate.url}/v1`, apiKey: keys.alice, orgId: id }
    },
    expectBooked: ({ orgId }, calls) =>
      // A settlement that took longer than its answer waited is still on its way.
      vi.waitFor(
        async () => {
          const rows = (await rowsOf(product.db.pool, orgId)).map(({ outcome, provenance, credits_used, details }) => {
            return { outcome, provenance, charge: credits_used, usage: details.usage }
          })
          expect(rows, 'the books').toEqual(Array(calls).fill(asRow(booked)))
        },
        { timeout: 20_000, interval: 20 },
      ),
  }
}

function asRow({ charge, prompt, completion, cached, reasoning }: Booked) {
  const usage = expect.objectContaining({
    prompt_tokens: prompt,
    completion_tokens: completion,
    prompt_tokens_details: expect.objectContaining({ cached_tokens: cached }),
    completion_tokens_details: expect.objectContaining({ reasoning_tokens: reasoning }),
  })
  return { outcome: 'answered', provenance: 'provider_usage', charge, usage }
}
