/** Reads the prices an operator wrote into a deployment, under LiteLLM's names: dollars per token. */

import type { Unit } from '../../providers/usage.ts'
import type { Field, Section } from './field.ts'
import type { OperatorPrice, OperatorTier } from './operator-price.ts'

/** Nano-dollars per million tokens in a dollar per token, as a power of ten. */
const SCALE = 15

/** $10 000 per million tokens. Nobody charges that; it means that a price per million was written as a price per token. */
const IMPLAUSIBLE = 10n ** 13n

/** $1 000 per token. Beyond it amounts stop fitting the ledger's columns. */
const MOST = 10n ** 18n

type Rate = Exclude<keyof OperatorPrice, 'tiers' | 'units' | 'imageInput'>
type TierRate = Exclude<keyof OperatorTier, 'above'>

const RATES: Readonly<Record<string, Rate>> = {
  input_cost_per_token: 'input',
  output_cost_per_token: 'output',
  cache_read_input_token_cost: 'cacheRead',
  cache_creation_input_token_cost: 'cacheWrite5m',
  cache_creation_input_token_cost_above_1hr: 'cacheWrite1h',
  input_cost_per_audio_token: 'audioInput',
  output_cost_per_audio_token: 'audioOutput',
  output_cost_per_image_token: 'imageOutput',
}

/** LiteLLM's names for prices of other units than tokens. A price per second is stored per million milliseconds. */
const UNIT_RATES: Readonly<Record<string, { unit: Unit; scale: number }>> = {
  output_cost_per_image: { unit: 'images', scale: SCALE },
  input_cost_per_image: { unit: 'imagesRead', scale: SCALE },
  input_cost_per_character: { unit: 'characters', scale: SCALE },
  input_cost_per_second: { unit: 'milliseconds', scale: SCALE - 3 },
  output_cost_per_second: { unit: 'milliseconds', scale: SCALE - 3 },
}
const IMAGE_TOKENS = 'input_cost_per_image_token'

const TIER_RATES: Readonly<Record<string, TierRate>> = {
  input_cost_per_token: 'input',
  output_cost_per_token: 'output',
  cache_read_input_token_cost: 'cacheRead',
  cache_creation_input_token_cost: 'cacheWrite5m',
}

const TIER = /^(.+)_above_(\d{1,6})k_tokens$/
const OTHER_COST = /_cost_per_|_cost$|_cost_above_|_cost_(?:flex|priority|batches)$/

/**
 * Takes the cost settings out of `litellm_params` and `model_info`; the first wins where both state a rate.
 * @returns null when the operator wrote no price at all.
 */
export function readOperatorPrice(sections: readonly (Section | null)[]): OperatorPrice | null {
  const rates = new Map<Rate, bigint>()
  const tiers = new Map<number, Map<TierRate, bigint>>()
  const apart: Apart = { units: new Map(), imageInput: null }
  for (const section of sections) {
    if (section === null) continue
    const units = new Map<Unit, bigint>()
    for (const field of section.fields) {
      if (!readApart(section, field, apart, units)) readCost(section, field, rates, tiers)
    }
    for (const [unit, value] of units) if (!apart.units.has(unit)) apart.units.set(unit, value)
  }
  moveImagePrice(apart.units)
  if (rates.size === 0 && tiers.size === 0 && apart.units.size === 0 && apart.imageInput === null) return null
  const rate = (name: Rate): bigint | null => rates.get(name) ?? null
  return {
    input: rate('input'),
    output: rate('output'),
    cacheRead: rate('cacheRead'),
    cacheWrite5m: rate('cacheWrite5m'),
    cacheWrite1h: rate('cacheWrite1h'),
    audioInput: rate('audioInput'),
    audioOutput: rate('audioOutput'),
    imageOutput: rate('imageOutput'),
    ...(apart.imageInput === null ? {} : { imageInput: apart.imageInput }),
    ...(apart.units.size === 0 ? {} : { units: Object.fromEntries(apart.units) }),
    tiers: [...tiers].sort(([a], [b]) => a - b).map(([above, of]) => tierOf(above, of)),
  }
}

/** The rates that few models have. */
interface Apart {
  units: Map<Unit, bigint>
  imageInput: bigint | null
}

/** Takes the price of one unit, if the setting is one. LiteLLM has two names for the price of a second: the dearer one counts. */
function readApart(section: Section, field: Field, apart: Apart, units: Map<Unit, bigint>): boolean {
  const { name } = field
  if (name === IMAGE_TOKENS) {
    section.take(name)
    apart.imageInput ??= dollarsPerToken(field)
    return true
  }
  const known = own(UNIT_RATES, name)
  if (known === undefined) return false
  section.take(name)
  const value = dollarsPerUnit(field, known.scale)
  const before = units.get(known.unit)
  if (value !== null && (before === undefined || value > before)) units.set(known.unit, value)
  return true
}

/** As in LiteLLM, an image that is made costs as much as one that is sent, where it has no price of its own. */
function moveImagePrice(units: Map<Unit, bigint>): void {
  const price = units.get('imagesRead')
  if (price === undefined || units.has('images')) return
  units.delete('imagesRead')
  units.set('images', price)
}

function dollarsPerUnit(field: Field, scale: number): bigint | null {
  const value = field.decimal(scale, 'dollars, 0 or more', '0.04')
  if (value === null || value <= MOST) return value
  return field.mismatch('dollars, at most 1000', `write ${field.name}: 0.04`)
}

function tierOf(above: number, of: ReadonlyMap<TierRate, bigint>): OperatorTier {
  const rate = (name: TierRate): bigint | null => of.get(name) ?? null
  return {
    above,
    input: rate('input'),
    output: rate('output'),
    cacheRead: rate('cacheRead'),
    cacheWrite5m: rate('cacheWrite5m'),
  }
}

function readCost(
  section: Section,
  field: Field,
  rates: Map<Rate, bigint>,
  tiers: Map<number, Map<TierRate, bigint>>,
): void {
  const { name } = field
  const tier = TIER.exec(name)
  const tierRate = tier === null ? undefined : own(TIER_RATES, tier[1] ?? '')
  const rate = own(RATES, name)
  if (rate !== undefined) {
    section.take(name)
    const value = dollarsPerToken(field)
    if (value !== null && !rates.has(rate)) rates.set(rate, value)
  } else if (tier !== null && tierRate !== undefined) {
    section.take(name)
    const value = dollarsPerToken(field)
    if (value === null) return
    const above = Number(tier[2]) * 1000
    const of = tiers.get(above) ?? new Map<TierRate, bigint>()
    if (!of.has(tierRate)) tiers.set(above, of.set(tierRate, value))
  } else if (OTHER_COST.test(name)) {
    section.take(name)
    field.noEffect('calls are not charged by it; use the per-token costs')
  }
}

function dollarsPerToken(field: Field): bigint | null {
  const value = field.decimal(SCALE, 'dollars per token, 0 or more', '0.00000015')
  if (value === null) return null
  if (value > MOST) return field.mismatch('dollars per token, at most 1000', `write ${field.name}: 0.00000015`)
  if (value >= IMPLAUSIBLE) {
    field.warn(
      `costs are dollars per token, so this is $${value / 10n ** 9n} per million tokens`,
      'divide a price per million tokens by 1000000',
    )
  }
  return value
}

function own<Value>(table: Readonly<Record<string, Value>>, name: string): Value | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined
}
