/** Rates as a price case states them (dollars a million tokens, in decimal), in the integers the product reckons with. */
import type { Bucket } from '../../src/metering/listed-price.ts'
import { parseDecimal } from '../../src/metering/money.ts'
import type { Price, Rates } from '../../src/metering/price.ts'

type Rate = string | { base: string; tiers: { start: number; price: string }[] }
/** `input_mtok`, `cache_read_mtok` ... dollars a million; `web_searches_kcount` dollars a thousand. */
export type CaseRates = Readonly<Record<string, Rate>>

/** `model` picks where there are several; without rates everything is free (the provider's bill is what counts). */
export function priceFromRates(rates: CaseRates | Record<string, CaseRates> | null, model: string): Price {
  const own: CaseRates = rates === null ? FREE : isRates(rates) ? rates : (rates[model] ?? {})
  const starts = Object.values(own).flatMap((rate) => (typeof rate === 'object' ? rate.tiers : []))
  const tiers = [...new Set([0, ...starts.map(({ start }) => start)])].sort((a, b) => a - b)
  const search = own.web_searches_kcount
  return {
    source: 'data_set',
    reference: 'price case',
    tiers: tiers.map((above) => ({ above, rates: ratesAbove(own, above) })),
    toolFees: typeof search === 'string' ? { web_search: parseDecimal(search, 6) } : {},
    contextWindow: null,
  }
}

const FREE: CaseRates = { input_mtok: '0', output_mtok: '0' }

function isRates(rates: CaseRates | Record<string, CaseRates>): rates is CaseRates {
  return 'input_mtok' in rates
}

/** A bucket without a rate of its own costs what the tokens around it cost. */
function ratesAbove(own: CaseRates, above: number): Rates {
  const stated = (name: string, otherwise: bigint): bigint => {
    const rate = own[name]
    if (rate === undefined) return otherwise
    if (typeof rate === 'string') return parseDecimal(rate, 9)
    const reached = rate.tiers.filter(({ start }) => start <= above).sort((a, b) => b.start - a.start)[0]
    return parseDecimal(reached?.price ?? rate.base, 9)
  }
  const input = stated('input_mtok', 0n)
  const output = stated('output_mtok', 0n)
  const cacheWrite5m = stated('cache_write_mtok', input)
  const rates: Record<Bucket, bigint> = {
    input,
    output,
    cacheRead: stated('cache_read_mtok', input),
    cacheWrite5m,
    cacheWrite1h: stated('cache_write_1h_mtok', cacheWrite5m),
    audioInput: stated('input_audio_mtok', input),
    audioOutput: stated('output_audio_mtok', output),
    imageOutput: stated('output_image_mtok', output),
  }
  return rates
}
