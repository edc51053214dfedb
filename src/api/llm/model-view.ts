/** A model as the lists of the internal LLM API show it: with its price for the caller's plan. */

import { providerOf } from '../../../providers/registry.ts'
import type { Config, Deployment } from '../../config/config.ts'
import { listingOf } from '../../config/listing-of.ts'
import { modeOf } from '../../config/mode-of.ts'
import { MICROCREDITS_PER_DOLLAR, trimDecimal } from '../../metering/money.ts'
import { type Price, type PriceBook, ratesFor } from '../../metering/price.ts'
import type { Router } from '../../routing/route.ts'

export interface ModelPrice {
  /** Nano-dollars per million tokens. */
  input: bigint
  output: bigint
  contextLength: number | null
}

export interface ListedModelView {
  id: string
  deployment: Deployment
  /** Null where no price is known: such a model can't be called on the operator's key. */
  price: ModelPrice | null
}

interface Sources {
  config: Config
  router: Router
  prices: PriceBook
}

/** Every model that can be named, in the order of the configuration. */
export function viewModels(sources: Sources, names: readonly string[], at: Date): ListedModelView[] {
  return names.flatMap((id) => {
    const deployment = sources.router.route(id)?.candidates[0]?.deployment
    return deployment === undefined ? [] : [{ id, deployment, price: priceOf(sources, deployment, at) }]
  })
}

function priceOf(sources: Sources, deployment: Deployment, at: Date): ModelPrice | null {
  const price = findPriceOf(sources, deployment, at)
  if (price === null) return null
  const { input, output } = ratesFor(price, 0)
  return { input, output, contextLength: price.contextWindow ?? deployment.maxInputTokens }
}

/** What a deployment costs by now; null where nobody knows. */
export function findPriceOf(
  { config, prices }: Pick<Sources, 'config' | 'prices'>,
  deployment: Deployment,
  at: Date,
): Price | null {
  const provider = providerOf(deployment.provider)
  return prices.find({
    listed: listingOf(provider, deployment),
    at,
    operator: deployment.price,
    toolFees: config.toolFees,
    inputOnly: modeOf(deployment) === 'embedding',
  })
}

/** Dollars per million tokens. @param markup in millionths, on top of the price. */
export function dollarsPerMillion(nanoDollars: bigint, markup = 0n): string {
  const marked = (nanoDollars * (1_000_000n + markup) + 999_999n) / 1_000_000n
  return trimDecimal((marked * 1_000_000_000n) / MICROCREDITS_PER_DOLLAR, 9)
}
