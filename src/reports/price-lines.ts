/** How a charge came about, line by line: the lines always add up to it, to the last digit. */
import { creditsToMicro, parseDecimal, trimDecimal } from '../metering/money.ts'

/** Rates and costs are dollars as decimal strings. */
export interface PriceLine {
  what: string
  /** Tokens; null for what is no count. */
  quantity: number | null
  /** For a million of them; null where none is known any more. */
  rate: string | null
  cost: string
}

/** What the row of a call says of its price. */
export interface Priced {
  usage: unknown
  /** The rates that its hold fixed: nano-dollars a million, by the size of the input they begin above. Null where the hold is gone. */
  rates: unknown
  /** Dollars. */
  apiCost: string
  markup: string
  markupPercent: number | null
  /** Credits. */
  charged: string
}

/** Dollars with fifteen decimals: tokens times nano-dollars a million. */
const SCALE = 15
const NANO = 9

type Members = Readonly<Record<string, unknown>>

export function priceLines({ usage, rates, apiCost, markup, markupPercent, charged }: Priced): PriceLine[] {
  const counts = membersOf(usage)
  const rateOf = membersOf(ratesFor(rates, countOf(counts.prompt_tokens)))
  const counted = bucketsOf(counts).map(([what, quantity, name]) => {
    const rate = typeof rateOf[name] === 'string' && /^\d{1,18}$/.test(rateOf[name]) ? BigInt(rateOf[name]) : null
    return { what, quantity, rate, cost: BigInt(quantity) * (rate ?? 0n) }
  })
  const stated = parseDecimal(apiCost, NANO) * 10n ** BigInt(SCALE - NANO)
  const rest = stated - counted.reduce((sum, { cost }) => sum + cost, 0n)
  const added = parseDecimal(markup, NANO)
  const corrected = creditsToMicro(charged) - parseDecimal(apiCost, NANO) - added
  const inDollars = (nano: bigint) => trimDecimal(nano, NANO)
  return [
    ...counted.map(({ rate, cost, ...line }) => ({
      ...line,
      rate: rate === null ? null : inDollars(rate),
      cost: trimDecimal(cost, SCALE),
    })),
    ...lineOf(restOf(rest, counted.length > 0), trimDecimal(rest, SCALE)),
    ...lineOf(
      markupPercent === null ? 'Markup and power level' : `Markup ${markupPercent} %, power level`,
      inDollars(added),
    ),
    ...lineOf('Corrections, and what rounding up adds', inDollars(corrected)),
  ]
}

function restOf(rest: bigint, isCounted: boolean): string {
  if (!isCounted) return 'Cost of the provider'
  return rest < 10n ** BigInt(SCALE - NANO) && rest > 0n
    ? 'Rounded up'
    : "Tools, units, service tier, or the provider's own bill"
}

function lineOf(what: string, cost: string): PriceLine[] {
  return cost === '0' ? [] : [{ what, quantity: null, rate: null, cost }]
}

/** Each token once, with the name of its rate. */
function bucketsOf(counts: Members): [what: string, quantity: number, rate: string][] {
  const input = membersOf(counts.prompt_tokens_details)
  const output = membersOf(counts.completion_tokens_details)
  const [cached, audioIn, written] = [input.cached_tokens, input.audio_tokens, input.cache_write_tokens].map(countOf)
  const [imageIn, audioOut, imageOut] = [input.image_tokens, output.audio_tokens, output.image_tokens].map(countOf)
  const plainIn = countOf(counts.prompt_tokens) - cached! - audioIn! - written! - imageIn!
  const plainOut = countOf(counts.completion_tokens) - audioOut! - imageOut!
  const buckets: [string, number, string][] = [
    ['Input', plainIn, 'input'],
    ['Input from the cache', cached!, 'cacheRead'],
    ['Input written to the cache', written!, 'cacheWrite5m'],
    ['Sound in', audioIn!, 'audioInput'],
    ['Images in', imageIn!, 'imageInput'],
    ['Output, thoughts included', plainOut, 'output'],
    ['Sound out', audioOut!, 'audioOutput'],
    ['Images out', imageOut!, 'imageOutput'],
  ]
  return buckets.filter(([, quantity]) => quantity > 0)
}

/** The tier that begins nearest below the input. */
function ratesFor(tiers: unknown, input: number): unknown {
  if (!Array.isArray(tiers)) return null
  const reached = tiers.map(membersOf).filter(({ above }) => countOf(above) === 0 || countOf(above) < input)
  return reached.sort((a, b) => countOf(a.above) - countOf(b.above)).at(-1)?.rates ?? null
}

function membersOf(value: unknown): Members {
  return typeof value === 'object' && value !== null ? (value as Members) : {}
}

function countOf(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : 0
}
