/**
 * The operator's part: a deployment for each folder, prices where the data set knows none, money set aside for the providers' own
 * tools, and leave to drop what a provider can't honour.
 */
import { findProvider } from '../../providers/registry.ts'
import { createPriceBook, type Price, type PriceBook } from '../../src/metering/price.ts'
import { apiBaseOf, dialectOf, modelOf } from './dialects.ts'
import type { Recording } from './recording.ts'
import { chatRequest } from './request.ts'

/** Dollars a token, where nobody lists a price. */
const OWN_PRICE = { input_cost_per_token: '0.000001', output_cost_per_token: '0.000002' }
/** The same in nano-dollars. */
export const OWN_RATES = { input: 1000n, output: 2000n }
/** Dollars a call, for each kind of tool that brings input of its own. */
const SURCHARGE = '0.05'

const prices: PriceBook = createPriceBook()

/** Nobody lists a price for the model, so the operator's stands, before any bill of the provider's. */
export function pricedByOperator(recording: Recording): boolean {
  return listedPrice(recording, null) === null
}

/** As the data set lists it, of the model that served where that tells. */
export function listedPrice(recording: Recording, served: string | null): Price | null {
  const provider = findProvider(dialectOf(recording.provider).provider)
  const asked = modelOf(recording)
  const priceAs = (name: string | null) => {
    const listed = provider?.listedAs(provider.pricedAs(asked, name)) ?? null
    return prices.find({ listed, at: new Date(), operator: null })
  }
  const named = priceAs(null)
  return named === null || served === null ? named : (priceAs(served) ?? named)
}

/** config.yaml's text (as JSON, which YAML contains). */
export function harnessConfig(recordings: readonly Recording[], origin: string): string {
  const entry = (name: string, folder: string, model: string, price: object) => ({
    model_name: name,
    litellm_params: {
      model,
      api_base: apiBaseOf(folder, origin),
      api_key: 'os.environ/SCRIPTED_API_KEY',
      drop_params: true,
      ...price,
    },
  })
  const folders = new Set(recordings.map(({ provider }) => provider))
  const unlisted = new Map(recordings.filter(pricedByOperator).map((one) => [`${one.provider}/${modelOf(one)}`, one]))
  return JSON.stringify({
    model_list: [
      ...[...folders].map((folder) => entry(`${folder}/*`, folder, `${dialectOf(folder).provider}/*`, {})),
      ...[...unlisted].map(([name, one]) =>
        entry(name, one.provider, `${dialectOf(one.provider).provider}/${modelOf(one)}`, OWN_PRICE),
      ),
    ],
    litellm_settings: { num_retries: 0 },
    tollgate: {
      plans: { hybrid: { markup_percent: 0 } },
      tool_surcharges: Object.fromEntries([...toolKinds(recordings)].map((kind) => [kind, SURCHARGE])),
      // Groq's and Google's searches have no fee in the data set.
      tool_fees: { web_search: 0.005 },
      limits: { booking_wait_seconds: 20 },
      rate_limits: { quotes_per_minute: 1_000_000 },
    },
  })
}

/** Tools of the providers' own that the recorded requests use. */
function toolKinds(recordings: readonly Recording[]): Set<string> {
  const tools = recordings.flatMap((recording) => {
    const provider = findProvider(dialectOf(recording.provider).provider)
    return provider?.chat?.serverTools(chatRequest(recording).request, modelOf(recording)) ?? []
  })
  return new Set(tools.filter(({ addsInput }) => addsInput).map(({ kind }) => kind))
}
