/** What a call must cost, worked out here and not by the product: tokens x rate, markup and power level, rounded up once. Microcredits. */
import type { CallPlan, ModelName } from './plan.ts'

/** Nano-dollars a token, which is microcredits a token before markup and level. */
const RATES: Readonly<Record<ModelName, { input: bigint; output: bigint }>> = {
  exact: { input: 0n, output: 20_000n },
  priced: { input: 3_000n, output: 11_000n },
}
const MARKUP_PERCENT = { platform: 50n, hybrid: 0n } as const
/** Tenths. */
const LEVELS = { eco: 5n, balanced: 10n, precision: 20n } as const

export type ChaosPlan = keyof typeof MARKUP_PERCENT

export function priceOf(call: CallPlan, plan: ChaosPlan, input: number, output: number): bigint {
  const rates = RATES[call.model]
  const cost = BigInt(input) * rates.input + BigInt(output) * rates.output
  const raised = cost * (100n + MARKUP_PERCENT[plan]) * LEVELS[call.powerLevel]
  const price = (raised + 999n) / 1_000n
  return price > cost ? price : cost
}

/** The models of config.yaml at these rates. */
export function modelList(upstreamUrl: string): unknown[] {
  const perToken = (nanoDollars: bigint) => `${nanoDollars}e-9`
  return Object.entries(RATES).map(([name, { input, output }]) => ({
    model_name: name,
    litellm_params: {
      model: `openai/${name}`,
      api_base: upstreamUrl,
      api_key: 'os.environ/SCRIPTED_API_KEY',
      timeout: 2,
      input_cost_per_token: perToken(input),
      output_cost_per_token: perToken(output),
    },
    model_info: { id: `${name}-scripted` },
  }))
}
