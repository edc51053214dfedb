/** The headers that tell a caller what a call was and what it cost. On a stream, what is not yet known is left out. */
import { formatDecimal, MICROCREDITS_PER_CREDIT, trimDecimal } from '../metering/money.ts'
import type { Attempt } from './admitted.ts'
import type { Candidate } from './candidate.ts'
import type { Bill } from './settle-call.ts'

/** The headers that are known before the response. */
export function callHeaders({ call, candidate, appliedCap, retries, fallbacks }: Attempt): Record<string, string> {
  const { exchange, caller, hold } = call
  const { deployment, payer, terms } = candidate
  const headers: Record<string, string> = {
    'X-Request-ID': exchange.requestId,
    'x-litellm-call-id': exchange.callId,
    'X-Provider-Used': providerUsed(candidate),
    'x-litellm-model-id': headerSafe(deployment.id),
    'x-litellm-model-group': headerSafe(candidate.group),
    'X-BYOK': String(payer.accountOf === 'caller'),
    'X-Org-Credits': caller.isDefaultOrganization ? 'false' : 'true',
    'x-litellm-attempted-retries': String(retries),
    'x-litellm-attempted-fallbacks': String(fallbacks),
  }
  const base = shownBase(candidate)
  if (base !== null) headers['x-litellm-model-api-base'] = base
  if (payer.accountOf === 'caller') headers['X-BYOK-Provider'] = terms.provider.name
  const { waitedMs } = hold.granted
  if (waitedMs !== undefined) headers['X-Tollgate-Waited'] = String(waitedMs)
  if (appliedCap !== null) headers['X-Max-Tokens-Applied'] = String(appliedCap)
  return headers
}

function providerUsed({ terms }: Candidate): string {
  return terms.mock === null ? terms.provider.name : 'mock'
}

/** The base URL that callers see: a host of the operator's own network only where the operator shows it. */
function shownBase({ deployment, terms }: Candidate): string | null {
  if (terms.mock !== null) return 'mock'
  return deployment.shownApiBase ?? (deployment.apiBase === null ? terms.provider.baseUrl : null)
}

/** The headers that say who serves a call and whose key pays. */
const WHO = [
  ...['X-Provider-Used', 'x-litellm-model-id', 'x-litellm-model-group', 'x-litellm-model-api-base'],
  ...['X-BYOK', 'X-BYOK-Provider'],
  ...['X-Max-Tokens-Applied', 'x-litellm-attempted-retries', 'x-litellm-attempted-fallbacks'],
]

/** The headers of a stream, which leave before the cost is known. `isOpen`: another deployment may still serve it, so they don't say who does. */
export function streamHeaders(attempt: Attempt, isOpen: boolean, now: number): Record<string, string> {
  const headers = callHeaders(attempt)
  if (isOpen) for (const name of WHO) delete headers[name]
  const { keySpend } = attempt.call.hold.granted
  if (keySpend !== null) headers['x-litellm-key-spend'] = dollars(keySpend)
  const { granted, held } = attempt.call.hold
  return { ...headers, ...creditsLeft(attempt, granted.remaining + held), ...durations(attempt, now) }
}

/** The headers of a whole response, with its cost. @param now monotonic, in milliseconds. */
export function billHeaders(attempt: Attempt, bill: Bill, now: number): Record<string, string> {
  const { microcredits, parts } = bill.charge
  const headers: Record<string, string> = {
    ...callHeaders(attempt),
    'X-Cost-Incurred': formatDecimal(microcredits, 6),
    'X-Credits-Used': formatDecimal(microcredits, 6),
    'X-Cost-Provenance': bill.provenance,
    'x-litellm-response-cost': dollars(microcredits),
    'x-litellm-response-cost-input': dollars(parts.input),
    'x-litellm-response-cost-output': dollars(parts.output),
    ...durations(attempt, now),
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
    Object.assign(headers, creditsLeft(attempt, bill.booking.remaining))
    if (bill.booking.keySpend !== null) headers['x-litellm-key-spend'] = dollars(bill.booking.keySpend)
  }
  return headers
}

/** In the words of the endpoint, where it has any. */
function creditsLeft({ call: { endpoint, caller } }: Attempt, balance: bigint): Readonly<Record<string, string>> {
  const isUnlimited = caller.isDefaultOrganization
  return endpoint.headers?.credits?.({ balance, isEnough: isUnlimited || balance > 0n, isUnlimited }) ?? {}
}

/** The value of `usage.cost`; null leaves the provider's own cost members. */
export function shownCost({ candidate: { payer } }: Attempt, bill: Bill): string | null {
  return payer.showsProviderCost ? null : dollars(bill.charge.microcredits)
}

/** An amount in dollars: a decimal that is also a JSON number. */
export function dollars(microcredits: bigint): string {
  return trimDecimal(microcredits, 9)
}

/** Credits with three decimals, rounded down, so that the header never shows too much. */
export function thousandths(microcredits: bigint): string {
  const unit = MICROCREDITS_PER_CREDIT / 1000n
  const floor = microcredits / unit - (microcredits % unit < 0n ? 1n : 0n)
  return formatDecimal(floor, 3)
}

function durations({ call, timing }: Attempt, now: number): Record<string, string> {
  const total = now - call.exchange.startedAt
  return {
    'x-litellm-response-duration-ms': total.toFixed(3),
    'x-litellm-overhead-duration-ms': Math.max(0, total - timing.upstreamMs).toFixed(3),
  }
}

/** Names come from config.yaml and may hold anything; a header may not. */
function headerSafe(value: string): string {
  return /^[\x20-\x7e]*$/.test(value) ? value.slice(0, 256) : encodeURIComponent(value.toWellFormed()).slice(0, 256)
}
