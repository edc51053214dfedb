/** Where the price data set lists what a deployment serves: the model behind it where the operator named one, else what it is asked for. */
import type { Listing } from '../../providers/listing.ts'
import type { Provider } from '../../providers/provider.ts'
import { providerOf } from '../../providers/registry.ts'
import type { Deployment } from './config.ts'

/** @param served the model that the response names; null before there is one. */
export function listingOf(
  provider: Provider,
  { upstreamModel, baseModel, apiBase }: Pick<Deployment, 'upstreamModel' | 'baseModel' | 'apiBase'>,
  served: string | null = null,
): Listing | null {
  if (baseModel === undefined) return provider.listedAs(provider.pricedAs(upstreamModel, served), apiBase)
  const base = providerOf(baseModel.provider)
  return base.listedAs(base.pricedAs(baseModel.model, null), base.name === provider.name ? apiBase : null)
}

/** The name by which its facts are known. */
export function knownName({ upstreamModel, baseModel }: Pick<Deployment, 'upstreamModel' | 'baseModel'>): string {
  return baseModel?.model ?? upstreamModel
}
