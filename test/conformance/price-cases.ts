/**
 * Recorded usage at recorded rates: each case's raw usage goes through the provider's own reader, and what it reads is charged at
 * the case's rates, without a markup. Exact to the nano-dollar, rounded up; where the provider billed, equal to its bill.
 */

import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { NO_CUTS } from '../../providers/cut-texts.ts'
import { objectMembers } from '../../providers/json-members.ts'
import type { ChatRequest, ProviderResponse, ResponseContext } from '../../providers/provider.ts'
import { findProvider } from '../../providers/registry.ts'
import { charge, MILLION } from '../../src/metering/charge.ts'
import { apiBaseOf, dialectOf, isPlayable } from './dialects.ts'
import { type Exception, exceptionFor } from './exceptions.ts'
import { nanoDollars } from './expected.ts'
import { type CaseRates, priceFromRates } from './price-from-rates.ts'

export interface PriceCase {
  id: string
  provider: string
  model: string
  usage: Record<string, unknown>
  expected_usd: { total: string }
  /** Of the model; by model where several served; null where only the bill is known. */
  rates: CaseRates | Record<string, CaseRates> | null
  basis: string
}

export interface CheckedCase {
  id: string
  provider: string
  /** Null: passed. */
  failure: string | null
  excepted: Exception | null
}

/** `price_cases.json` of a folder; none where it has none. */
export async function readPriceCases(path: string): Promise<PriceCase[]> {
  if (!(await stat(path)).isDirectory()) return []
  const text = await readFile(join(path, 'price_cases.json'), 'utf8').catch(() => '{"cases":[]}')
  return (JSON.parse(text) as { cases: PriceCase[] }).cases
}

export function checkPriceCases(cases: readonly PriceCase[]): CheckedCase[] {
  return cases
    .filter(({ provider }) => isPlayable(provider))
    .map((one) => {
      const failure = differenceOf(one)
      const excepted = failure === null ? null : exceptionFor(one.id, failure)
      return { id: one.id, provider: one.provider, failure: excepted === null ? failure : null, excepted }
    })
}

function differenceOf(one: PriceCase): string | null {
  const expected = nanoDollars(one.expected_usd.total)
  const charged = chargeOf(one)
  return charged === expected ? null : `charge: ${charged} instead of ${expected} nano-dollars`
}

function chargeOf(one: PriceCase): bigint | string {
  const provider = findProvider(dialectOf(one.provider).provider)
  const answer = provider?.chat?.readResponse(answerAround(one), contextOf(one)) ?? null
  if (provider === null || answer === null || 'kind' in answer) return 'nothing that was read'
  const { usage, cost, byModel, serviceTier } = (answer as ProviderResponse).reading
  if (usage === null) return 'no usage that was read'
  const billed = one.basis === 'provider_billed'
  if (billed && cost === null) return 'no bill that was read'
  const { microcredits } = charge({
    usage,
    price: priceFromRates(one.rates, one.model),
    byModel: byModel?.map((part) => ({ usage: part.usage, price: priceFromRates(one.rates, part.model) })) ?? null,
    markup: 0n,
    level: MILLION,
    tier: provider.tierMultiplier(serviceTier, one.model),
    providerCost: billed || one.rates === null ? cost : null,
    allowBelowCost: false,
  })
  return microcredits
}

/** The least a provider can answer around a usage object. */
function answerAround({ provider, model, usage }: PriceCase): Buffer {
  const dialect = dialectOf(provider)
  const text = 'Hello'
  if (dialect.speaksOpenAi) {
    const choices = [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' }]
    return json({ id: 'chatcmpl-1', object: 'chat.completion', created: 1, model, choices, usage })
  }
  if (dialect.provider === 'anthropic') {
    const content = [{ type: 'text', text }]
    return json({ id: 'msg_1', type: 'message', role: 'assistant', model, content, stop_reason: 'end_turn', usage })
  }
  const candidates = [{ index: 0, content: { role: 'model', parts: [{ text }] }, finishReason: 'STOP' }]
  return json({ candidates, usageMetadata: usage, modelVersion: nameOf(model), responseId: 'r1' })
}

function contextOf(one: PriceCase): ResponseContext {
  const model = nameOf(one.model)
  const body = { model, messages: [{ role: 'user', content: 'Hello' }] }
  const text = json(body)
  const request: ChatRequest = {
    text,
    members: objectMembers(text),
    json: body,
    model,
    stream: false,
    includeUsage: false,
    choices: 1,
    outputCap: null,
    strangers: [],
    cuts: NO_CUTS,
  }
  const apiBase = apiBaseOf(one.provider, 'http://127.0.0.1')
  return { request, model, choices: 1, callId: 'case', created: 1, apiBase } as ResponseContext
}

/** Where the model stands in the address, it comes with the method behind it. */
function nameOf(model: string): string {
  return model.replace(/:\w*[cC]ontent$/, '')
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}
