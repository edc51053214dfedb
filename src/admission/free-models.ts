/** Whether some model can be called without credits. */

import { providerOf } from '../../providers/registry.ts'
import type { Deployment } from '../config/config.ts'
import { listingOf } from '../config/listing-of.ts'
import { modeOf } from '../config/mode-of.ts'
import type { PriceBook } from '../metering/price.ts'
import { knownModels } from '../routing/known-models.ts'

/** True where it can't be known: a pattern stands for every model of its provider. */
export function hasFreeModel(deployments: readonly Deployment[], prices: PriceBook, at: Date): boolean {
  return deployments.some((deployment) => {
    const isPattern = deployment.upstreamModel.includes('*')
    if (isPattern && deployment.price === null && providerOf(deployment.provider).isRouter === true) return true
    const models = isPattern ? knownModels(deployment.provider) : [deployment.upstreamModel]
    return (models.length === 0 ? [''] : models).some((upstreamModel) =>
      costsNothing({ ...deployment, upstreamModel }, prices, at),
    )
  })
}

function costsNothing(deployment: Deployment, prices: PriceBook, at: Date): boolean {
  const { price: operator } = deployment
  if (operator !== null && operator.input === 0n && operator.output === 0n) return true
  const inputOnly = modeOf(deployment) === 'embedding'
  const listed = listingOf(providerOf(deployment.provider), deployment)
  const rates = prices.find({ listed, at, operator, inputOnly })?.tiers[0]?.rates
  return rates !== undefined && rates.input === 0n && rates.output === 0n
}
