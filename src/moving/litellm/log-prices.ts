/** The price of a logged call here: of the deployment that served it, of its group, or of the model by its provider's list. */
import { findProvider } from '../../../providers/registry.ts'
import type { Config, Deployment } from '../../config/config.ts'
import { listingOf } from '../../config/listing-of.ts'
import { modeOf } from '../../config/mode-of.ts'
import { createPriceBook, type Price } from '../../metering/price.ts'
import { createRouter } from '../../routing/route.ts'
import type { SourceRow } from './source.ts'
import { textIn } from './values.ts'

/** Null: no price is known. */
export type FindLogPrice = (row: SourceRow, at: Date) => Price | null

export function createLogPrices(config: Config): FindLogPrice {
  const router = createRouter(config)
  const prices = createPriceBook()
  const byId = new Map(config.deployments.map((deployment) => [deployment.id, deployment]))

  function find(deployment: Deployment, at: Date): Price | null {
    const provider = findProvider(deployment.provider)
    if (provider === null) return null
    const listed = listingOf(provider, deployment)
    const inputOnly = modeOf(deployment) === 'embedding'
    return prices.find({ listed, at, operator: deployment.price, toolFees: config.toolFees, inputOnly })
  }

  function listedPrice(row: SourceRow, at: Date): Price | null {
    const named = textIn(row, 'custom_llm_provider')
    const provider = named === null ? null : findProvider(named)
    const model = textIn(row, 'model')
    if (provider === null || model === null) return null
    const upstreamModel = model.startsWith(`${named}/`) ? model.slice(`${named}/`.length) : model
    const listed = listingOf(provider, { upstreamModel, apiBase: null })
    const inputOnly = textIn(row, 'call_type')?.endsWith('embedding') ?? false
    return prices.find({ listed, at, operator: null, toolFees: config.toolFees, inputOnly })
  }

  return (row, at) => {
    const served = byId.get(textIn(row, 'model_id') ?? '')
    const group = textIn(row, 'model_group') ?? textIn(row, 'model')
    const deployment = served ?? (group === null ? undefined : router.route(group)?.candidates[0]?.deployment)
    return (deployment === undefined ? null : find(deployment, at)) ?? listedPrice(row, at)
  }
}
