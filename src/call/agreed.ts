/** What a quote fixed for a call: the operator's rates, the markup and the power level, but never the total. */
import type { Deployment, PowerLevel } from '../config/config.ts'
import type { Price } from '../metering/price.ts'
import type { PriceTerms } from './candidate-price.ts'

/** Millionths. */
export interface Factors {
  markup: bigint
  level: bigint
}

export interface Agreed extends Factors {
  powerLevel: PowerLevel
  /** @throws {TollgateError} 400 for a deployment that was not quoted. */
  priceTermsOf(deployment: Deployment): PriceTerms
  /** The version of the prices. */
  version: string
}

/** The least a quoted call is charged: what the provider takes at the time of the call. */
export interface Floor extends Factors {
  price: Price
  priceTerms: PriceTerms
  /** The version of the quoted prices, for the row of the call. */
  version: string
}
