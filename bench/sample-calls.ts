/**
 * Calls as chat/ hands them to the ledger (place-hold.ts, settle-call.ts): the same members with values of the same size, at
 * the listed price of a real model, so that the ledger alone writes the rows a whole call would.
 */

import { NO_USAGE, usageRecord } from '../providers/usage.ts'
import { writtenRates } from '../src/call/call-hold.ts'
import type { CallNames, HoldRequest, Payer, Settlement } from '../src/ledger/ledger.ts'
import { charge } from '../src/metering/charge.ts'
import { formatDecimal } from '../src/metering/money.ts'
import { findPrice, type Price } from '../src/metering/price.ts'
import { quote } from '../src/metering/quote.ts'

const MODEL = 'gpt-4o-mini'
const KEY_ID = '00000000-0000-4000-8000-000000000000'
const DEPLOYMENT = 'gpt-4o-mini-bench'
const FACTORS = { markup: 500_000n, level: 1_000_000n, allowBelowCost: false }
const WANTED_TOKENS = 4_096
const LEAST_TOKENS = 256

export interface SampleCall {
  hold: Omit<HoldRequest, keyof Payer | keyof CallNames | 'limits'>
  settlement: Omit<Settlement, keyof Payer | 'callId' | 'requestId'>
}

/** As many different calls, of 100 and more input tokens and 20 and more output tokens. */
export function sampleCalls(count: number): SampleCall[] {
  const price = findPrice({ listed: { provider: 'openai', model: MODEL }, at: new Date(), operator: null })
  if (price === null) throw new Error(`the data set has no price for ${MODEL}`)
  return Array.from({ length: count }, (_, i) => sampleCall(price, 100 + 13 * i, 20 + 7 * i))
}

function sampleCall(price: Price, input: number, output: number): SampleCall {
  const estimate = { tokens: input + 20, bytes: input * 4, media: 0, audioInput: 0, toolFees: {} }
  const bound = quote({ estimate, choices: 1, price, ...FACTORS, audioOutput: false })
  const usage = { ...NO_USAGE, input, output }
  const priced = charge({ usage, price, ...FACTORS })
  const held = bound.input + bound.outputFor(WANTED_TOKENS)
  return {
    hold: {
      input: bound.input,
      inputBytes: bound.inputBytes,
      uncertain: bound.uncertain,
      output: bound.outputFor(WANTED_TOKENS),
      least: bound.outputFor(LEAST_TOKENS),
      step: 0n,
      context: {
        key_id: KEY_ID,
        deployment: DEPLOYMENT,
        price: price.reference,
        rates: writtenRates(price),
        markup: FACTORS.markup.toString(),
        power_level: 'balanced',
      },
    },
    settlement: {
      serviceType: 'llm_inference',
      serviceName: MODEL,
      outcome: 'answered',
      charge: priced.microcredits,
      apiCost: priced.apiCost,
      markup: priced.markupApplied,
      provenance: 'provider_usage',
      details: {
        key_id: KEY_ID,
        model: MODEL,
        provider: 'openai',
        deployment: DEPLOYMENT,
        upstream_model: MODEL,
        stream: false,
        power_level: 'balanced',
        price: price.reference,
        markup_percent: 50,
        held: formatDecimal(held, 6),
        retries: 0,
        fallbacks: 0,
        finished_at: new Date().toISOString(),
        duration_ms: 812,
        upstream_ms: 790,
        first_byte_ms: 790,
        served_model: MODEL,
        service_tier: 'default',
        finish_reasons: ['stop'],
        usage: usageRecord(usage),
        tool_uses: {},
      },
    },
  }
}
