/** The headers that tell a caller what a call was and cost. On a stream, what is not yet known is left out. */
import { performance } from 'node:perf_hooks'
import { formatDecimal, MICROCREDITS_PER_CREDIT, trimDecimal } from '../metering/money.ts'
import type { Call } from './call.ts'
import type { Candidate } from './candidate.ts'
import { isOwn } from './choose-key.ts'
import type { Bill } from './settle-call.ts'

/** Known before the answer. */
export function callHeaders(call: Call): Record<string, string> {
  const { exchange, candidate, caller } = call
  const { deployment, provider } = candidate
  const headers: Record<string, string> = {
    'X-Request-ID': exchange.requestId,
    'x-litellm-call-id': exchange.callId,
    'X-Provider-Used': deployment.mockResponse === null ? provider.name : 'mock',
    'x-litellm-model-id': headerSafe(deployment.id),
    'x-litellm-model-group': headerSafe(call.modelGroup),
    'X-BYOK': String(isOwn(candidate.key)),
    'X-Org-Credits': caller.isDefaultOrganization ? 'false' : 'true',
    'x-litellm-attempted-retries': String(call.retries),
    'x-litellm-attempted-fallbacks': String(call.fallbacks),
  }
  const base = shownBase(candidate)
  if (base !== null) headers['x-litellm-model-api-base'] = base
  if (isOwn(candidate.key)) headers['X-BYOK-Provider'] = provider.name
  if (call.hold.waitedMs !== undefined) headers['X-Tollgate-Waited'] = String(call.hold.waitedMs)
  if (call.appliedCap !== null) headers['X-Max-Tokens-Applied'] = String(call.appliedCap)
  return headers
}

/** Never a host of the operator's network, unless the operator says so. */
function shownBase({ deployment, provider }: Candidate): string | null {
  if (deployment.mockResponse !== null) return 'mock'
  return deployment.shownApiBase ?? (deployment.apiBase === null ? provider.baseUrl : null)
}

/** What says who serves a call, and whose key pays. */
const WHO = [
  ...['X-Provider-Used', 'x-litellm-model-id', 'x-litellm-model-api-base', 'X-BYOK', 'X-BYOK-Provider'],
  ...['X-Max-Tokens-Applied', 'x-litellm-attempted-retries', 'x-litellm-attempted-fallbacks'],
]

/** For a stream: what is known when its headers leave, before its cost is. Where another may serve it yet, `isOpen`, not who does. */
export function streamHeaders(call: Call, isOpen: boolean): Record<string, string> {
  const headers = callHeaders(call)
  if (isOpen) for (const name of WHO) delete headers[name]
  if (call.hold.keySpend !== null) headers['x-litellm-key-spend'] = dollars(call.hold.keySpend)
  return { ...headers, ...durations(call) }
}

/** For a JSON answer: with its cost. */
export function billHeaders(call: Call, bill: Bill): Record<string, string> {
  const { microcredits, parts } = bill.charge
  const headers: Record<string, string> = {
    ...callHeaders(call),
    'X-Cost-Incurred': formatDecimal(microcredits, 6),
    'X-Credits-Used': formatDecimal(microcredits, 6),
    'X-Cost-Provenance': bill.provenance,
    'x-litellm-response-cost': dollars(microcredits),
    'x-litellm-response-cost-input': dollars(parts.input),
    'x-litellm-response-cost-output': dollars(parts.output),
    ...durations(call),
  }
  const optional = {
    'cache-read': parts.cacheRead,
    'cache-creation': parts.cacheWrite,
    reasoning: parts.reasoning,
    'tool-usage': parts.tools,
  }
  for (const [name, amount] of Object.entries(optional)) {
    if (amount > 0n) headers[`x-litellm-response-cost-${name}`] = dollars(amount)
  }
  if (bill.booking.state === 'pending') headers['X-Tollgate-Settlement'] = 'pending'
  else {
    headers['X-Credits-Remaining'] = thousandths(bill.booking.remaining)
    if (bill.booking.keySpend !== null) headers['x-litellm-key-spend'] = dollars(bill.booking.keySpend)
  }
  return headers
}

/** What becomes `usage.cost`; null leaves the provider's own cost fields: the caller's own key paid. */
export function shownCost(call: Call, bill: Bill): string | null {
  return isOwn(call.candidate.key) ? null : dollars(bill.charge.microcredits)
}

/** An amount in dollars: a decimal that is also a JSON number. */
export function dollars(microcredits: bigint): string {
  return trimDecimal(microcredits, 9)
}

/** Credits with three decimals, rounded down: never more than is there. */
function thousandths(microcredits: bigint): string {
  const unit = MICROCREDITS_PER_CREDIT / 1000n
  const floor = microcredits / unit - (microcredits % unit < 0n ? 1n : 0n)
  return formatDecimal(floor, 3)
}

function durations(call: Call): Record<string, string> {
  const total = performance.now() - call.exchange.startedAt
  return {
    'x-litellm-response-duration-ms': total.toFixed(3),
    'x-litellm-overhead-duration-ms': Math.max(0, total - call.timing.upstreamMs).toFixed(3),
  }
}

/** Names come from config.yaml and may hold anything; a header may not. */
function headerSafe(value: string): string {
  return /^[\x20-\x7e]*$/.test(value) ? value.slice(0, 256) : encodeURIComponent(value.toWellFormed()).slice(0, 256)
}
