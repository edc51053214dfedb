/** The row a call leaves: settled, with the usage and the provider's own bill as they were. */

import { findProvider } from '../../providers/registry.ts'
import { MILLION } from '../../src/metering/charge.ts'
import { divideUp } from '../../src/metering/money.ts'
import { type Price, ratesFor } from '../../src/metering/price.ts'
import type { Expect } from './check.ts'
import { checkEstimated, checkUsage } from './check-usage.ts'
import { dialectOf, modelOf } from './dialects.ts'
import { nanoDollars } from './expected.ts'
import { eventsOf, failures, object, parse } from './frames.ts'
import { listedPrice, OWN_RATES, pricedByOperator } from './harness-config.ts'
import type { Oracle, OracleUsage, Recording } from './recording.ts'
import type { Replayed } from './replay.ts'
import { chatRequest } from './request.ts'

export function checkBooks(recording: Recording, { call, quote }: Replayed, expect: Expect): void {
  const { oracle } = recording
  checkQuote(quote, call, expect)
  expect('status in the books', call?.status, 'settled')
  if (oracle === null) {
    expect('outcome in the books', [call?.outcome, call?.credits], ['failed', '0'])
    return
  }
  const failed = recording.stream && failures(eventsOf(recording.body)).length > 0
  expect('outcome in the books', call?.outcome, failed ? 'cut_off' : 'answered')
  const usage = object(call?.usage)
  if (failed) {
    checkBroken(oracle, call, expect)
    return
  }
  if (oracle.usage === null) checkEstimated('usage in the books', usage, oracle, expect)
  else checkUsage('usage in the books', usage, recording, oracle.usage, expect)
  const bill = pricedByOperator(recording) ? undefined : oracle.billed_usd
  expect('provenance in the books', call?.provenance, provenanceOf(recording, bill))
  const charge = nanoDollars(String(call?.cost))
  if (bill !== undefined) expect("charge is the provider's bill", charge, nanoDollars(bill))
  else if (oracle.usage !== null && !usesTools(recording))
    expect('charge at the price of the model', charge, chargeFor(recording, oracle.usage))
}

/** It was quoted, and a quote is never below the charge of the call that was quoted. */
function checkQuote(quote: Replayed['quote'], call: Replayed['call'], expect: Expect): void {
  expect('what was quoted', typeof quote.max_credits, 'number')
  if (Number(call?.credits) > Number(quote.max_credits))
    expect('the most that was quoted', quote.max_credits, `${call?.credits} or more`)
}

/** Broken off in the middle: what was stated until then, and at least what was shown. */
function checkBroken({ usage, billed_usd: bill }: Oracle, call: Replayed['call'], expect: Expect): void {
  const booked = object(call?.usage)
  expect('input in the books', Number(booked?.prompt_tokens) >= Math.max(1, usage?.input_tokens ?? 0), true)
  expect('output in the books', Number(booked?.completion_tokens) >= (usage?.output_tokens ?? 0), true)
  const known = usage === null ? [] : bill === undefined ? ['provider_usage'] : ['provider_usage', 'provider_cost']
  expect('provenance in the books', ['estimated', ...known].includes(String(call?.provenance)), true)
  expect('a charge in the books', Number(call?.cost) > 0, true)
}

/** What they cost besides tokens stands in no usage. */
function usesTools(recording: Recording): boolean {
  const provider = findProvider(dialectOf(recording.provider).provider)
  const { request, serverTools } = chatRequest(recording)
  return serverTools.length > 0 || provider?.chat?.serverTools(request, modelOf(recording)).length !== 0
}

function chargeFor(recording: Recording, usage: OracleUsage): bigint {
  if (pricedByOperator(recording))
    return BigInt(usage.input_tokens) * OWN_RATES.input + BigInt(usage.output_tokens) * OWN_RATES.output
  const { model, tier } = servedIn(recording)
  const price = listedPrice(recording, model)
  let numerator = atPrice(usage, price)
  for (const { model: other, cache_read_input_tokens, cache_creation_input_tokens, ...tokens } of usage.other_models ??
    [])
    numerator += atPrice(
      {
        cache_read: cache_read_input_tokens,
        cache_write: cache_creation_input_tokens,
        input_tokens: tokens.input_tokens + cache_read_input_tokens + cache_creation_input_tokens,
        output_tokens: tokens.output_tokens,
        reasoning: null,
      },
      listedPrice(recording, other),
    )
  const provider = findProvider(dialectOf(recording.provider).provider)
  const factor = provider?.tierMultiplier(tier, modelOf(recording)) ?? MILLION
  return divideUp(numerator * factor, MILLION * MILLION)
}

/** Nano-dollars x 10^6. */
function atPrice(usage: OracleUsage, price: Price | null): bigint {
  if (price === null) return 0n
  const rates = ratesFor(price, usage.input_tokens)
  const { cache_read, cache_write, cache_write_1h = 0 } = usage
  return (
    BigInt(usage.input_tokens - cache_read - cache_write) * rates.input +
    BigInt(cache_read) * rates.cacheRead +
    BigInt(cache_write - cache_write_1h) * rates.cacheWrite5m +
    BigInt(cache_write_1h) * rates.cacheWrite1h +
    BigInt(usage.output_tokens) * rates.output
  )
}

/** As the answer states them, the last time it does. */
function servedIn({ stream, body }: Recording): { model: string | null; tier: string | null } {
  const chunks = stream ? eventsOf(body).map(({ json }) => json) : [object(parse(body.toString()))]
  const last = (member: string): string | null => {
    const stated = chunks
      .map((chunk) => chunk?.[member] ?? object(chunk?.message)?.[member])
      .filter((value) => typeof value === 'string' && value !== '')
    return (stated.at(-1) as string | undefined) ?? null
  }
  return { model: last('model') ?? last('modelVersion'), tier: last('service_tier') }
}

function provenanceOf({ oracle }: Recording, bill: number | undefined): string {
  if (oracle?.usage === null) return 'estimated'
  return bill === undefined ? 'provider_usage' : 'provider_cost'
}
