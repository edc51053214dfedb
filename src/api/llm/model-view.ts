/** A model as the lists of the internal LLM API show it: with its price for the caller's plan. */
import { providerOf } from '../../../providers/registry.ts'
import type { Config, Deployment } from '../../config/config.ts'
import { modeOf } from '../../config/mode-of.ts'
import { MICROCREDITS_PER_DOLLAR, trimDecimal } from '../../metering/money.ts'
import { type PriceBook, ratesFor } from '../../metering/price.ts'
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
  /** Null where nobody knows it: such a model can't be called on the operator's key. */
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

function priceOf({ config, prices }: Sources, deployment: Deployment, at: Date): ModelPrice | null {
  const provider = providerOf(deployment.provider)
  const price = prices.find({
    listed: provider.listedAs(provider.pricedAs(deployment.upstreamModel, null)),
    at,
    operator: deployment.price,
    toolFees: config.toolFees,
    inputOnly: modeOf(deployment) === 'embedding',
  })
  if (price === null) return null
  const { input, output } = ratesFor(price, 0)
  return { input, output, contextLength: price.contextWindow ?? deployment.maxInputTokens }
}

/** Dollars per million tokens. @param markup millionths on top. */
export function dollarsPerMillion(nanoDollars: bigint, markup = 0n): string {
  const marked = (nanoDollars * (1_000_000n + markup) + 999_999n) / 1_000_000n
  return trimDecimal((marked * 1_000_000_000n) / MICROCREDITS_PER_DOLLAR, 9)
}
