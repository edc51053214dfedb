/** What a usage costs on a candidate: by its own price and factors, and never below the floor of a quote. */
import type { Usage } from '../../providers/usage.ts'
import { type Charge, type ChargeInput, charge } from '../metering/charge.ts'
import type { Price } from '../metering/price.ts'
import type { Candidate } from './candidate.ts'

/** What is charged by: a price, and what the provider stated beside its counts. */
export interface Basis extends Pick<ChargeInput, 'byModel' | 'providerCost'> {
  price: Price
}

type Chargeable = Pick<Candidate, 'price' | 'markup' | 'level' | 'allowBelowCost' | 'floor'>

/**
 * @param basis the candidate's own price where it is left out.
 * @param current the same at present prices, which say what the provider takes; only where a quote fixed other prices.
 */
export function chargeOn(
  candidate: Chargeable,
  counts: { usage: Usage; tier: bigint },
  basis: Basis = candidate,
  current: Basis | null = candidate.floor,
): Charge {
  const { markup, level, allowBelowCost, floor } = candidate
  const charged = charge({ ...counts, ...written(basis), markup, level, allowBelowCost })
  if (floor === null || current === null) return charged
  const factors = { markup: floor.markup, level: floor.level }
  const least = charge({ ...counts, ...written(current), ...factors, allowBelowCost: true })
  const { microcredits, parts } = charged.microcredits >= least.microcredits ? charged : least
  return { microcredits, parts, apiCost: least.apiCost, markupApplied: microcredits - least.apiCost }
}

function written({ price, byModel = null, providerCost = null }: Basis): Basis {
  return { price, byModel, providerCost }
}
